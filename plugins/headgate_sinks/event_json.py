"""The event as JSON: protobuf's JSON mapping, but for the properties, which are an object and not bytes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import copysign
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The order of the fields in the canonical event.
_MESSAGES = {
    "page": ("href", "domain", "path", "title", "canonical_url", "referrer"),
    "request": ("user_agent", "client_ip", "method"),
    "sdk": ("name", "version", "runtime"),
    "experiment": ("experiment_id", "variant_id", "conversion"),
    "campaign": ("source", "medium", "campaign", "term", "content"),
}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


_PARTS = {name: tuple((field, _camel(field)) for field in fields) for name, fields in _MESSAGES.items()}


def event_json(event: event_pb2.Event) -> dict[str, Any]:
    """The event as a JSON value: names in camelCase, times as RFC 3339 in UTC, what is absent left out, `properties` an
    object whose integers are exact. The order of the keys is always the same."""
    return _fields(event, json.loads)


def event_line(event: event_pb2.Event) -> bytes:
    """The same as JSON text in one line, without the line's end; the properties' own text is kept as it is."""
    return orjson.dumps(_fields(event, _as_written))


def _as_written(properties: bytes) -> Any:
    # They were checked and re-encoded when they came in; white space between their parts is the only thing that could
    # break the line.
    if b"\n" in properties or b"\r" in properties:
        properties = json.dumps(json.loads(properties), ensure_ascii=False, separators=(",", ":")).encode()
    return orjson.Fragment(properties)


def _fields(event: event_pb2.Event, read_properties: Callable[[bytes], Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    # To read a field makes a new object each time: none is read twice.
    if text := event.event_id:
        out["eventId"] = text
    if text := event.name:
        out["name"] = text
    if event.HasField("occur_time"):
        out["occurTime"] = _time(event.occur_time)
    if event.HasField("receive_time"):
        out["receiveTime"] = _time(event.receive_time)
    if event.HasField("client_time"):
        out["clientTime"] = _time(event.client_time)
    if text := event.project_id:
        out["projectId"] = text
    if text := event.user_id:
        out["userId"] = text
    if text := event.distinct_id:
        out["distinctId"] = text
    if text := event.anonymous_id:
        out["anonymousId"] = text
    if text := event.session_id:
        out["sessionId"] = text
    for name, fields in _PARTS.items():
        if event.HasField(name):
            part = getattr(event, name)
            out[name] = {key: value for field, key in fields if (value := getattr(part, field))}
    if event.test:
        out["test"] = True
    if dialect := event.dialect:
        out["dialect"] = dialect_name(dialect)
    # Protobuf takes a negative zero for a value that was given.
    if (weight := event.sample_weight) or copysign(1.0, weight) < 0:
        out["sampleWeight"] = weight
    if properties := event.properties_json:
        out["properties"] = read_properties(properties)
    elif event.HasField("properties"):
        out["properties"] = MessageToDict(event.properties)
    return out


@lru_cache
def dialect_name(value: int) -> str | int:
    """The dialect as the protobuf contract spells it, or its number where this version does not know it."""
    known = event_pb2.Dialect.DESCRIPTOR.values_by_number.get(value)
    return value if known is None else known.name


def _time(time: Timestamp) -> str:
    return _moment(time.seconds, time.nanos)


# The events of one request bear the same times, or nearly.
@lru_cache(maxsize=4096)
def _moment(seconds: int, nanos: int) -> str:
    if not nanos:
        fraction = ""
    elif not nanos % 1_000_000:
        fraction = f".{nanos // 1_000_000:03d}"
    elif not nanos % 1000:
        fraction = f".{nanos // 1000:06d}"
    else:
        fraction = f".{nanos:09d}"
    return f"{_second(seconds)}{fraction}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"
