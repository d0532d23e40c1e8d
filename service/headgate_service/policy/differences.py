"""What another policy would make of events that were stored, beside what the present one makes of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf import json_format
from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.policy.config_changes import config_changes
from headgate_service.policy.judgement import KEPT, Dropped, Judgement, Refused
from headgate_service.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class EventDifference:
    """An event that the two policies do not treat alike. `changed`: JSON Pointers of what would be stored otherwise,
    where both keep it."""

    event: event_pb2.Event
    before: Judgement
    after: Judgement
    changed: tuple[str, ...] = ()


def differences(
    before: Policy | None, after: Policy | None, events: Iterable[event_pb2.Event]
) -> Iterator[EventDifference]:
    """The events for which it makes a difference, in order; they are not changed. None is no policy.

    Both policies judge what is stored, which is what an earlier one left of what was sent: a hash is hashed again, by
    both, and where an event came from is not stored, so that no Origin is ignored here.
    """
    for event in events:
        one, other = judged(before, event), judged(after, event)
        changed = changed_paths(one[1], other[1]) if is_kept(one[0]) and is_kept(other[0]) else ()
        if one[0] != other[0] or changed:
            yield EventDifference(event, one[0], other[0], changed)


def is_kept(judgement: Judgement) -> bool:
    return not isinstance(judgement, Dropped | Refused)


def changed_paths(one: event_pb2.Event, other: event_pb2.Event) -> tuple[str, ...]:
    """Where two forms of an event differ, as JSON Pointers."""
    if one == other:
        return ()
    return tuple(change.path for change in config_changes(_as_json(one), _as_json(other)))


def outcome(judgement: Judgement) -> str:
    """What became of an event in a word or two: `kept`, `kept with warnings`, `dropped: sampled`, `refused`."""
    if isinstance(judgement, Dropped):
        return f"dropped: {outcome_pb2.Reason.Name(judgement.reason).removeprefix('REASON_').lower()}"
    if isinstance(judgement, Refused):
        return "refused"
    return "kept with warnings" if judgement.warnings else "kept"


def judged(policy: Policy | None, event: event_pb2.Event) -> tuple[Judgement, event_pb2.Event]:
    """What a policy makes of a stored event, and the event as it would be stored by it."""
    copy = event_pb2.Event()
    copy.CopyFrom(event)
    # Each policy sets its own, or leaves the 1 of an event that stands for itself.
    copy.sample_weight = 1.0
    return (KEPT if policy is None else policy.judge(copy)), copy


def _as_json(event: event_pb2.Event) -> dict[str, Any]:
    mapped: dict[str, Any] = json_format.MessageToDict(event, preserving_proto_field_name=True)
    if mapped.pop("properties_json", None):
        mapped["properties"] = orjson.loads(event.properties_json)
    return mapped
