"""The event as a row of a table: the same columns, in the same order, for every target that has columns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from headgate.v1 import event_pb2

from headgate_sinks.formats.event_fields import FIELDS, EventField, Kind
from headgate_sinks.formats.event_json import dialect_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what kind of value it holds, whether an event may have none, whether it has few values, and how to
    read it from an event.

    Values are `str` for text and JSON text, aware `datetime` in UTC for times (to the microsecond), `bool` and `float`;
    None for what the event does not have.
    """

    name: str
    kind: Kind
    nullable: bool
    few: bool
    read: Callable[[event_pb2.Event], Any]


KEY = ("project_id", "event_id", "receive_time")
"""The columns that name an event: after 24 hours a client's id may come again, as another event."""


def event_row(event: event_pb2.Event) -> tuple[Any, ...]:
    """The event's values in the order of `COLUMNS`."""
    return tuple([column.read(event) for column in COLUMNS])


def _reader(field: EventField) -> Callable[[event_pb2.Event], Any]:
    part, name = field.part, field.name
    if field.kind == "time":
        return lambda event: _moment(event, name) if event.HasField(name) else None
    if field.kind == "json":
        return lambda event: getattr(event, name).decode() or None
    if name == "dialect":
        return lambda event: str(dialect_text(event.dialect, event.dialect_name)) if event.dialect else None
    if part and field.kind == "flag":
        return lambda event: getattr(getattr(event, part), name) if event.HasField(part) else None
    if part:
        return lambda event: (getattr(getattr(event, part), name) or None) if event.HasField(part) else None
    return (lambda event: getattr(event, name)) if field.required else lambda event: getattr(event, name) or None


def _moment(event: event_pb2.Event, name: str) -> datetime:
    time = getattr(event, name)
    return _datetime(time.seconds, time.nanos // 1000)


# The events of one request have the same times, or nearly.
@lru_cache(maxsize=4096)
def _datetime(seconds: int, microseconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds, microseconds=microseconds)


COLUMNS = tuple(
    Column(field.column_name, field.kind, not field.required, field.few, _reader(field)) for field in FIELDS
)
