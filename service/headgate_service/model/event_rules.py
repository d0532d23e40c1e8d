"""What a canonical event from a gRPC caller must be, and its reduction to the form that is stored.

The HTTP APIs have rules of their own, which the gateway applies.
"""

from dataclasses import dataclass

import orjson
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2, outcome_pb2

MAX_PROPERTIES_BYTES = 64 * 1024
MAX_STRING_BYTES = 32 * 1024
MAX_EVENT_ID_BYTES = 256
MAX_DEPTH = 32

# JSON is nowhere more than six times as long as what it is made of, a control character of a Struct or `1e15`: an event
# this short holds nothing that is too large.
_SURELY_SMALL = MAX_STRING_BYTES // 6

# Set by the service: what a caller put there is dropped.
_OWN_FIELDS = ("project_id", "receive_time", "sample_weight", "dialect", "dialect_name")
_STRINGS = ("name", "user_id", "distinct_id", "anonymous_id", "session_id")
_TIMES = ("occur_time", "client_time")
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799


@dataclass(frozen=True, slots=True)
class EventFault:
    """What makes one event unacceptable: `field` as the proto names it."""

    reason: outcome_pb2.Reason
    field: str
    message: str


def stored_form(event: event_pb2.Event) -> EventFault | None:
    """Brings an event to the form that is stored, in place, or says what is wrong with it."""
    for field in _OWN_FIELDS:
        event.ClearField(field)
    if not event.name:
        return EventFault(outcome_pb2.REASON_INVALID, "name", "is required and must not be empty")
    # A character takes 4 bytes at most.
    event_id = event.event_id
    if len(event_id) > MAX_EVENT_ID_BYTES // 4 and len(event_id.encode()) > MAX_EVENT_ID_BYTES:
        return EventFault(outcome_pb2.REASON_TOO_LARGE, "event_id", f"is over {MAX_EVENT_ID_BYTES} bytes")
    small = event.ByteSize() <= _SURELY_SMALL
    return (
        (None if small else _strings_fault(event))
        or _times_fault(event)
        or _reduce_properties(event)
        or (None if small else _size_fault(event))
    )


def clear_zero_times(event: event_pb2.Event) -> list[str]:
    """Takes for absent a time that a client's language has where none was set, and says so: an event of the year 1 or
    of 1970 would count in no report that anybody looks at."""
    warnings: list[str] = []
    for field in _TIMES:
        if event.HasField(field) and _is_zero(getattr(event, field)):
            event.ClearField(field)
            warnings.append(f"{field}: is the zero time, and is taken for absent")
    return warnings


def _is_zero(time: Timestamp) -> bool:
    return not time.nanos and time.seconds in (0, _FIRST_SECOND)


def complete_user(event: event_pb2.Event) -> None:
    """Whom the event counts for, where the caller did not say."""
    if not event.distinct_id:
        event.distinct_id = event.user_id or event.anonymous_id or event.session_id


def _strings_fault(event: event_pb2.Event) -> EventFault | None:
    for field in _STRINGS:
        if len(getattr(event, field).encode()) > MAX_STRING_BYTES:
            return EventFault(outcome_pb2.REASON_TOO_LARGE, field, f"is over {MAX_STRING_BYTES} bytes")
    return None


def _times_fault(event: event_pb2.Event) -> EventFault | None:
    for field in _TIMES:
        if not event.HasField(field):
            continue
        time = getattr(event, field)
        if not (_FIRST_SECOND <= time.seconds <= _LAST_SECOND and 0 <= time.nanos < 1_000_000_000):
            return EventFault(
                outcome_pb2.REASON_INVALID, field, "is not between 0001-01-01 and 9999-12-31, with nanos 0 to 999999999"
            )
    return None


def _reduce_properties(event: event_pb2.Event) -> EventFault | None:
    given = event.properties_json
    if event.HasField("properties"):
        if given:
            return EventFault(
                outcome_pb2.REASON_INVALID, "properties", "is given beside properties_json: give one of them"
            )
        try:
            properties = json_format.MessageToDict(event.properties)
        except (json_format.SerializeToJsonError, ValueError, RecursionError) as error:
            return EventFault(outcome_pb2.REASON_INVALID, "properties", f"is not JSON: {error}")
        event.ClearField("properties")
        may_be_deep = True
    elif given:
        try:
            properties = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            return EventFault(outcome_pb2.REASON_INVALID, "properties_json", f"is not JSON: {error}")
        may_be_deep = given.count(b"{") + given.count(b"[") > MAX_DEPTH
    else:
        return None
    if type(properties) is not dict:
        return EventFault(outcome_pb2.REASON_INVALID, "properties_json", "is not a JSON object")
    if may_be_deep and _deeper_than(properties, MAX_DEPTH):
        return EventFault(outcome_pb2.REASON_INVALID, "properties", f"is nested more than {MAX_DEPTH} levels deep")
    event.properties_json = encoded = orjson.dumps(properties) if properties else b""
    return _property_strings_fault(properties) if len(encoded) > MAX_STRING_BYTES else None


def _size_fault(event: event_pb2.Event) -> EventFault | None:
    if event.ByteSize() > MAX_PROPERTIES_BYTES:
        return EventFault(outcome_pb2.REASON_TOO_LARGE, "", f"the event is over {MAX_PROPERTIES_BYTES} bytes")
    return None


def _property_strings_fault(properties: object) -> EventFault | None:
    level = [properties]
    while level:
        for value in level:
            if type(value) is str and len(value.encode()) > MAX_STRING_BYTES:
                return EventFault(
                    outcome_pb2.REASON_TOO_LARGE, "properties", f"holds a string over {MAX_STRING_BYTES} bytes"
                )
        level = [inner for value in level for inner in _inside(value)]
    return None


def _deeper_than(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _inside(outer) if type(inner) in (dict, list)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
