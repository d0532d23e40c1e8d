"""The event as a row of a table: the same columns, in the same order, for every target that has columns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

from headgate_sinks.formats.event_json import dialect_name

Kind = Literal["text", "time", "flag", "number", "json"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what kind of value it holds, whether an event may have none, and how to read it off an event.

    Values are `str` for text and JSON text, aware `datetime` in UTC for times (to the microsecond), `bool` and `float`;
    None for what the event does not have.
    """

    name: str
    kind: Kind
    nullable: bool
    read: Callable[[event_pb2.Event], Any]


KEY = ("project_id", "event_id")
"""The columns that name an event."""


def event_row(event: event_pb2.Event) -> tuple[Any, ...]:
    """The event's values in the order of `COLUMNS`."""
    return tuple([column.read(event) for column in COLUMNS])


def _always(name: str) -> Column:
    return Column(name, "text", False, lambda event: getattr(event, name))


def _text(name: str) -> Column:
    return Column(name, "text", True, lambda event: getattr(event, name) or None)


def _time(name: str) -> Column:
    return Column(name, "time", True, lambda event: _moment(getattr(event, name)) if event.HasField(name) else None)


def _parts(part: str, **columns: str) -> tuple[Column, ...]:
    """Text columns of a message inside the event: the column's name and the field's."""

    def column(name: str, field: str) -> Column:
        return Column(
            name,
            "text",
            True,
            lambda event: getattr(getattr(event, part), field) or None if event.HasField(part) else None,
        )

    return tuple(column(name, field) for name, field in columns.items())


def _conversion(event: event_pb2.Event) -> bool | None:
    return event.experiment.conversion if event.HasField("experiment") else None


def _moment(time: Timestamp) -> datetime:
    return _datetime(time.seconds, time.nanos // 1000)


# The events of one request bear the same times, or nearly.
@lru_cache(maxsize=4096)
def _datetime(seconds: int, microseconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds, microseconds=microseconds)


COLUMNS: tuple[Column, ...] = (
    _always("project_id"),
    _always("event_id"),
    _always("name"),
    _time("occur_time"),
    _time("receive_time"),
    _time("client_time"),
    _text("user_id"),
    _text("distinct_id"),
    _text("anonymous_id"),
    _text("session_id"),
    *_parts(
        "page",
        page_href="href",
        page_domain="domain",
        page_path="path",
        page_title="title",
        page_canonical_url="canonical_url",
        page_referrer="referrer",
    ),
    *_parts("request", request_user_agent="user_agent", request_client_ip="client_ip", request_method="method"),
    *_parts("sdk", sdk_name="name", sdk_version="version", sdk_runtime="runtime"),
    *_parts("experiment", experiment_id="experiment_id", experiment_variant_id="variant_id"),
    Column("experiment_conversion", "flag", True, _conversion),
    *_parts(
        "campaign",
        campaign_source="source",
        campaign_medium="medium",
        campaign_name="campaign",
        campaign_term="term",
        campaign_content="content",
    ),
    Column("test", "flag", False, lambda event: event.test),
    Column("dialect", "text", True, lambda event: str(dialect_name(event.dialect)) if event.dialect else None),
    Column("sample_weight", "number", True, lambda event: event.sample_weight or None),
    Column("properties", "json", True, lambda event: event.properties_json.decode() or None),
)
