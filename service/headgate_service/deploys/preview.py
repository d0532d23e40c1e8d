"""Runs a config over a project's latest stored events before it is deployed."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf import json_format
from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.deploys.deploys import Deploys, config_changes
from headgate_service.directory.project import Project
from headgate_service.log.entry import EntryUnreadable
from headgate_service.log.reader import Entry, entry
from headgate_service.model.project_route import project_route
from headgate_service.model.route import Route, RouteFailed, RouteInvalid
from headgate_service.policy.policy import KEPT, Dropped, Judgement, Policy, Refused
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline


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
    """The events for which it makes a difference, in order; they are not changed. None is not a policy.

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


# Event names and paths are the senders' to make up.
MAX_KINDS = 1_000


@dataclass(slots=True)
class SinkReach:
    """Events that a sink gets by each config, and which of them only by one."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(slots=True)
class Comparison:
    """`outcomes` counts the events that the two do not treat alike by name and both outcomes, `paths` where events that
    both keep would be stored otherwise. Routes see an event as each policy leaves it, as the sinks' do."""

    before: Policy
    after: Policy
    events: int = 0
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    sinks: dict[str, SinkReach] = field(default_factory=dict)
    _routes: tuple[Mapping[str, Route | None], Mapping[str, Route | None]] = ({}, {})

    def __post_init__(self) -> None:
        self._routes = _routes(self.before), _routes(self.after)
        self.sinks = {name: SinkReach() for routes in self._routes for name in routes}

    def add(self, events: Iterable[event_pb2.Event]) -> None:
        for event in events:
            self.events += 1
            (said, one), (would_say, other) = judged(self.before, event), judged(self.after, event)
            if said != would_say:
                _count(self.outcomes, (event.name, outcome(said), outcome(would_say)))
            if is_kept(said) and is_kept(would_say):
                for path in changed_paths(one, other):
                    _count(self.paths, path)
            for name, reach in self.sinks.items():
                gets = is_kept(said) and _takes(self._routes[0], name, one)
                would_get = is_kept(would_say) and _takes(self._routes[1], name, other)
                reach.before += gets
                reach.after += would_get
                reach.gained += would_get and not gets
                reach.lost += gets and not would_get


def _routes(policy: Policy) -> dict[str, Route | None]:
    routes: dict[str, Route | None] = {}
    for sink in policy.config.sinks:
        # One that this release cannot read gets nothing: its sink is BROKEN.
        with contextlib.suppress(RouteInvalid):
            routes[sink.name] = None if sink.route is None else project_route(sink.route)
    return routes


def _takes(routes: Mapping[str, Route | None], name: str, event: event_pb2.Event) -> bool:
    if name not in routes:
        return False
    route = routes[name]
    try:
        return route is None or route.takes(event)
    except RouteFailed:
        return False


def _count(counter: Counter[str] | Counter[tuple[str, str, str]], kind: object) -> None:
    if kind in counter or len(counter) < MAX_KINDS:
        counter[kind] += 1  # type: ignore[index]  # each counter is asked with its own kind


MAX_EVENTS, EVENTS = 10_000, 1_000
SECONDS = 8.0
MAX_BYTES = 64 * 1024 * 1024
_ENTRIES = 16
# Each keeps a thread, and the interpreter, busy.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Preview:
    """`complete`: whether all events were judged that were asked for, or are there. `from_ms`: when the oldest of them
    was received, 0 where there is none."""

    version: int
    changed: Sequence[str]
    comparison: Comparison
    complete: bool
    from_ms: int


class Previews:
    """`seconds` and `most_bytes` of log bound one preview."""

    def __init__(
        self, deploys: Deploys, redis: RedisPipeline, seconds: float = SECONDS, most_bytes: int = MAX_BYTES
    ) -> None:
        self._deploys = deploys
        self._redis = redis
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, project: Project, config: Any, last: int) -> Preview:
        """Raises PolicyInvalid, ControlDbUnavailable, ProjectUnknown, RedisUnavailable."""
        done, before, after = await self._deploys.compared(project, config)
        async with self._turns:
            # Routes and schemas are compiled, and events judged, away from the requests of others.
            comparison = await asyncio.to_thread(Comparison, before, after)
            ends = asyncio.get_running_loop().time() + self._seconds
            from_ms, size, complete = 0, 0, True
            async for page in self._back(project):
                left = last - comparison.events
                if left <= 0:
                    break
                size += sum(len(one.payload) for one in page)
                if asyncio.get_running_loop().time() > ends or size > self._most_bytes:
                    complete = False
                    break
                events = (await asyncio.to_thread(_events, page))[-left:]
                await asyncio.to_thread(comparison.add, events)
                if events:
                    from_ms = events[0].receive_time.ToMilliseconds()
        return Preview(done.version, done.changed, comparison, complete, from_ms)

    async def _back(self, project: Project) -> AsyncIterator[list[Entry]]:
        """The project's entries from the latest on, a few at a time, each time the oldest first."""
        log = shard_keys(project.shard).project(project.id).log
        through = "+"
        while True:
            raw = await self._redis.execute("XREVRANGE", log, through, "-", "COUNT", _ENTRIES)
            page = [
                entry(project.id, entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
                for entry_id, fields in raw
            ]
            if page:
                yield page[::-1]
            if len(page) < _ENTRIES:
                return
            through = f"({page[-1].id}"


def _events(page: Sequence[Entry]) -> list[event_pb2.Event]:
    events: list[event_pb2.Event] = []
    for one in page:
        try:
            events += one.events()
        except EntryUnreadable:
            # The forwarder says so; what else there is can be judged.
            continue
    return events
