"""What is kept of a refused request's content: never a key, and nothing that the project's rules would hide."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from google.protobuf.json_format import MessageToDict
from headgate.v1 import event_pb2

from headgate_service.policy.pii import MASK
from headgate_service.policy.policy import Policy

MAX_BYTES = 2_048
MAX_DEPTH = 32
# What says which event it was, and no more.
_TOLD = frozenset({"event", "events", "eventName", "type", "name", "timestamp", "occurredAt", "occurTime"})
_KEY = re.compile(r"\b(pk|sk|org)_(live|test)?_?[0-9A-Za-z_-]{6,}")


class Payload(NamedTuple):
    """JSON text; whether it is cut; whether the project's rules leave nothing of it."""

    text: str = ""
    cut: bool = False
    hidden: bool = False


def payload_of(sample: bytes, events: Sequence[event_pb2.Event], policy: Policy | None) -> Payload:
    """Of the start of a body as it was sent, else of the first of the events that were understood."""
    hides = policy is not None and policy.hides
    if sample:
        return _sent(sample, hides=hides)
    if not events:
        return Payload()
    event = event_pb2.Event()
    event.CopyFrom(events[0])
    if policy is not None and hides:
        policy.redact(event)
    mapped = MessageToDict(event)
    if mapped.pop("propertiesJson", None):
        mapped["properties"] = orjson.Fragment(event.properties_json)
    return _short(orjson.dumps(mapped))


def _sent(sample: bytes, *, hides: bool) -> Payload:
    if not hides:
        return _short(sample, cut=len(sample) >= MAX_BYTES)
    try:
        return _short(orjson.dumps(_masked(orjson.loads(sample))))
    except (orjson.JSONDecodeError, RecursionError):
        return Payload(hidden=True)


def _masked(value: Any, name: str = "", depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        return MASK
    if isinstance(value, dict):
        return {key: _masked(one, key, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, name, depth + 1) for one in value]
    return value if value is None or name in _TOLD else MASK


def _short(raw: bytes, *, cut: bool = False) -> Payload:
    text = _KEY.sub(lambda found: f"{found[1]}_{MASK}", raw[:MAX_BYTES].decode(errors="replace"))
    return Payload(text.replace("\0", "\N{REPLACEMENT CHARACTER}"), cut or len(raw) > MAX_BYTES)
