"""Protobuf's wire format of the fields that nearly every event has.

To set the fields of a message costs three times as much as to write their bytes and to have them parsed in one call.
Numbers of fields and kinds are those of the message's own descriptor.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from headgate_dialects.formats.moment import Moment, as_browsers_write, iso8601

_VARINT, _BYTES = 0, 2
_SECONDS_KEPT = 4096


def varint(number: int) -> bytes:
    """`number`, which a negative one is in 64 bits, seven bits a byte, the lowest first."""
    left = number & 0xFFFF_FFFF_FFFF_FFFF
    encoded = bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


LENGTHS = tuple(map(varint, range(1 << 14)))
"""Those of what is not out of the ordinary; to look a longer one up raises IndexError."""


def tag(message: type[Message], field: str) -> bytes:
    """What stands before the length of a text, bytes or message."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _BYTES)


def _number(field: str, number: int) -> bytes:
    if not number:
        return b""
    return varint(Timestamp.DESCRIPTOR.fields_by_name[field].number << 3 | _VARINT) + varint(number)


_NANOS = {f".{thousandth:03}Z": _number("nanos", thousandth * 1_000_000) for thousandth in range(1000)}
# Of seconds that were read before, such as `2026-11-20T08:15:00`: events are mostly of the last ones.
_seconds: dict[str, bytes] = {}


def timestamp(text: str) -> bytes | None:
    """The fields of the Timestamp that an ISO 8601 date or date-time means; None where it is none, or none that a
    Timestamp can say."""
    seconds, nanos = _seconds.get(text[:19]), _NANOS.get(text[19:])
    if seconds is not None and nanos is not None:
        return seconds + nanos
    moment = as_browsers_write(text)
    if moment is not None:
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        _seconds[text[:19]] = _number("seconds", moment.seconds)
    else:
        moment = iso8601(text)
    return None if moment is None or not moment.storable else _timestamp(moment)


def _timestamp(moment: Moment) -> bytes:
    return _number("seconds", moment.seconds) + _number("nanos", moment.nanos)
