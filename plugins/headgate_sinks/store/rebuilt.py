"""Rows of the store's table `events` as the events that they were made of, byte for byte."""

import struct
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from headgate.v1 import event_pb2

from headgate_sinks.store.rows import COLUMNS

# The kind of each column's value in RowBinary: a text, bytes, a time, a flag or a number.
_TIMES, _FLAGS, _BYTES = ("ts", "receive_time"), ("test", "conversion"), ("properties_raw", "rest")
_TIME, _WEIGHT = struct.Struct("<q"), struct.Struct("<d")
_PARTS = {
    "page": {
        "page_href": "href", "page_domain": "domain", "page_path": "path", "page_title": "title",
        "page_canonical_url": "canonical_url", "page_referrer": "referrer",
    },
    "campaign": {
        "utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign", "utm_term": "term",
        "utm_content": "content",
    },
    "request": {"user_agent": "user_agent", "client_ip": "client_ip", "method": "method"},
    "sdk": {"sdk_name": "name", "sdk_version": "version", "sdk_runtime": "runtime"},
    "experiment": {"experiment_id": "experiment_id", "variant_id": "variant_id", "conversion": "conversion"},
}  # fmt: skip
_PLAIN = ("project_id", "event_id", "distinct_id", "user_id", "anonymous_id", "session_id", "test")
_DIALECTS: dict[str, Any] = dict(event_pb2.Dialect.items())


class RowsBroken(Exception):
    """What the store answered is not what was asked for."""


def rebuilt(data: bytes) -> Iterator[tuple[event_pb2.Event, int]]:
    """The events of rows in the order of COLUMNS, in ClickHouse's format RowBinary, each with where its row ends.

    An event that was stored before the column `rest` was there has its times to the millisecond, and lacks what no
    column holds. Raises RowsBroken.
    """
    at = 0
    try:
        while at < len(data):
            values, at = _values(data, at)
            yield _event(values), at
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise RowsBroken(f"a row cannot be read: {type(error).__name__}") from None


def _values(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    for name in COLUMNS:
        if name in _TIMES:
            values[name] = _TIME.unpack_from(data, at)[0]
            at += 8
        elif name == "weight":
            values[name] = _WEIGHT.unpack_from(data, at)[0]
            at += 8
        elif name in _FLAGS:
            values[name] = data[at] == 1
            at += 1
        else:
            size, shift = 0, 0
            while data[at] > 127:
                size |= (data[at] & 127) << shift
                shift += 7
                at += 1
            size |= data[at] << shift
            at += 1
            text = data[at : at + size]
            if len(text) < size:
                raise IndexError
            at += size
            values[name] = text if name in _BYTES else text.decode()
    return values, at


def _event(values: dict[str, Any]) -> event_pb2.Event:
    event = event_pb2.Event(
        name=values["event"],
        sample_weight=values["weight"],
        properties_json=values["properties_raw"],
        dialect=_DIALECTS.get(str(values["dialect"]), 0),
        **{name: values[name] for name in _PLAIN},
    )
    event.occur_time.FromMilliseconds(values["ts"])
    event.receive_time.FromMilliseconds(values["receive_time"])
    for part, names in _PARTS.items():
        if given := {field: values[column] for column, field in names.items() if values[column]}:
            getattr(event, part).CopyFrom(type(getattr(event, part))(**given))
    if values["rest"]:
        rest = event_pb2.Event.FromString(b64decode(values["rest"]))
        for time in ("occur_time", "receive_time"):
            if rest.HasField(time):
                event.ClearField(time)
        event.MergeFrom(rest)
    return event
