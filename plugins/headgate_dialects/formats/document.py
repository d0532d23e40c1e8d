"""The JSON document of a request, and what every dialect does alike with it."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from headgate.v1 import event_pb2

from headgate_dialects.formats import strict_json
from headgate_dialects.formats.json_structure import elements
from headgate_dialects.sdk.dialect import Fault, Unparsable
from headgate_dialects.sdk.rejection import Rejection

MAX_TEXT_BYTES = strict_json.MAX_STRING_BYTES
"""Of one text of an event."""
MAX_EVENTS = 10_000
"""Events in one request, of the APIs that name no lower number themselves."""
FEW_BYTES = 2 * MAX_EVENTS
"""A body of no more has not so many."""


def read(body: bytes, *, credential: str | None = None, project: str = "") -> Any:
    """The JSON value of `body`; Unparsable with NOT_JSON where it is none by the strict rules of all dialects."""
    try:
        return strict_json.loads(body)
    except strict_json.Malformed as malformed:
        fault = Fault(None, "body", str(malformed))
        raise Unparsable(Rejection.NOT_JSON, [fault], credential=credential, project=project) from malformed


def too_many(body: bytes) -> int:
    """How many events a request holds, where it is more than MAX_EVENTS, counted before anything is built; 0 where so
    many objects and arrays are not in it. They are the elements of the outermost array, or of the array `events` of the
    outermost object.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_EVENTS:
        return 0
    try:
        events = bytes(_outline(body).get("events", b""))
    except msgspec.MsgspecError:
        # An array, or what no decoder but a patient one reads: then the longest array within it counts.
        events = body
    count = elements(events)
    return count if count > MAX_EVENTS else 0


def text_of(body: bytes, field: str) -> str:
    """A text that stands beside so many events; empty where there is none."""
    try:
        return msgspec.json.decode(_outline(body).get(field, b'""'), type=str)
    except msgspec.MsgspecError:
        return ""


_outline = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def oversize(event: object, body: bytes) -> str | None:
    """What is too large about `event`, a part of `body`; None where nothing is."""
    return strict_json.oversize(event) if strict_json.may_be_oversize(body) else None


def keep(event: event_pb2.Event, properties: Mapping[str, Any]) -> None:
    """Writes `properties` to the event; an empty object is absence."""
    if properties:
        event.properties_json = orjson.dumps(properties)


def name_person(event: event_pb2.Event) -> None:
    """Sets whom the event counts for, where the API does not say it itself."""
    event.distinct_id = event.user_id or event.anonymous_id or event.session_id
