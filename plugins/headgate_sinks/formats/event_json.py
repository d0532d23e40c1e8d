"""The event as JSON: protobuf's JSON mapping, but for the properties, which are an object and not bytes."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import copysign
from operator import attrgetter
from typing import Any, cast

import msgspec
import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = msgspec.json.Encoder()


def event_json(event: event_pb2.Event) -> dict[str, Any]:
    """The event as a JSON value: names in camelCase, times as RFC 3339 in UTC, what is absent left out, `properties` an
    object whose integers are exact. The order of the keys is always the same."""
    value: dict[str, Any] = json.loads(event_line(event))
    return value


def event_line(event: event_pb2.Event) -> bytes:
    """The same as JSON text in one line, without the line's end; the properties' own text is kept as it is."""
    return _encoder.encode(_line(event))


def event_lines(events: Iterable[event_pb2.Event]) -> bytes:
    """The lines of events, each with its end."""
    return _encoder.encode_lines(map(_line, events))


_ONE = msgspec.Raw(b"1.0")
# Numbers: to look for a byte takes a third of the time that it takes for bytes.
_LINE_FEED, _CARRIAGE_RETURN = b"\n\r"


def _weight(weight: float) -> msgspec.Raw | None:
    # Protobuf takes a negative zero for a value that was given.
    return msgspec.Raw(orjson.dumps(weight)) if weight or copysign(1.0, weight) < 0 else None


def _as_written(properties: bytes) -> msgspec.Raw:
    # They were checked and re-encoded when they came in; white space between their parts is the only thing that could
    # break the line.
    if _LINE_FEED in properties or _CARRIAGE_RETURN in properties:
        properties = json.dumps(json.loads(properties), ensure_ascii=False, separators=(",", ":")).encode()
    return msgspec.Raw(properties)


def _of_struct(event: event_pb2.Event) -> msgspec.Raw | None:
    return msgspec.Raw(orjson.dumps(MessageToDict(event.properties))) if event.HasField("properties") else None


@lru_cache
def dialect_text(value: int, name: str = "") -> str | int:
    """The dialect as the protobuf contract spells it, one that is known by `name` only as it would be spelt there, or
    the number where this version does not know it."""
    if name:
        return f"DIALECT_{name.upper()}"
    known = event_pb2.Dialect.DESCRIPTOR.values_by_number.get(value)
    return value if known is None else known.name


def _time(time: Timestamp) -> str:
    return _moment(time.seconds, time.nanos)


# The events of one request have the same times, or nearly.
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


def _struct(name: str, defaults: Mapping[str, Any]) -> type[msgspec.Struct]:
    fields = [(field, Any, default) for field, default in defaults.items()]
    return msgspec.defstruct(name, fields, omit_defaults=True, rename="camel", gc=False)


def _part_writer(part: Any) -> Callable[[Any], msgspec.Struct]:
    """Writes a message within the event: its fields in their order, without those that are absent."""
    defaults = {field.name: field.default_value for field in part.fields}
    values, read = _struct(part.name, defaults), attrgetter(*defaults)
    return lambda message: values(*read(message))


# By field: the value that is left out, and how others are written.
_SPECIAL = {
    "dialect": (0, "dialect_text(dialect, dialect_name) if dialect else 0"),
    "sample_weight": (None, "ONE if sample_weight == 1.0 else weight(sample_weight)"),
    "properties_json": (None, "as_written(properties_json) if properties_json else of_struct(event)"),
}


def _line_maker() -> Callable[[event_pb2.Event], msgspec.Struct]:
    """Reads an event by one function with an expression for each field of the message, compiled as `dataclasses` does:
    a loop over the fields takes a quarter longer."""
    fields = [field for field in event_pb2.Event.DESCRIPTOR.fields if field.name not in ("properties", "dialect_name")]
    # All in one call: to ask for each by name is most of what reading it costs.
    scalars = [*(field.name for field in fields if field.message_type is None), "dialect_name"]
    names = {
        "scalars": attrgetter(*scalars),
        "dialect_text": dialect_text,
        "ONE": _ONE,
        "weight": _weight,
        "as_written": _as_written,
        "of_struct": _of_struct,
    }
    defaults, values = {}, []
    for field in fields:
        default, value = _SPECIAL.get(field.name, (field.default_value, field.name))
        if (message := field.message_type) is not None:
            is_time = message.full_name == Timestamp.DESCRIPTOR.full_name
            default = "" if is_time else None
            names[f"write_{field.name}"] = _time if is_time else _part_writer(message)
            value = f"write_{field.name}(event.{field.name}) if has({field.name!r}) else {default!r}"
        defaults["properties" if field.name == "properties_json" else field.name] = default
        values.append(value)
    names["Line"] = _struct("Line", defaults)
    lines = (
        "def line(event):",
        " has = event.HasField",
        f" {', '.join(scalars)} = scalars(event)",
        f" return Line({', '.join(values)})",
    )
    exec("\n".join(lines), names)  # noqa: S102 - names of the protobuf contract, and nothing from outside
    return cast(Callable[[event_pb2.Event], msgspec.Struct], names["line"])


_line = _line_maker()
