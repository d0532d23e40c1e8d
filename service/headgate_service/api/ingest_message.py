"""The messages of IngestService as they come: bytes, which are measured and counted before they are built."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from headgate.v1 import outcome_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest, StreamEventsRequest

from headgate_service.api.lenient_text import LenientText
from headgate_service.api.registrar import MAX_BYTES
from headgate_service.ingest.refusal import Refused

MAX_EVENTS = 1000
# To build so many events takes milliseconds. Where there may be more, they are counted first, and not to their end
# where there are more than this.
_MAY_BE_BUILT = 10 * MAX_EVENTS
_MAX_FIELDS = 20_000

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_EVENTS = IngestEventsRequest.EVENTS_FIELD_NUMBER << 3 | _BYTES
_DRY_RUN = IngestEventsRequest.DRY_RUN_FIELD_NUMBER << 3 | _VARINT
_REQUEST = StreamEventsRequest.REQUEST_FIELD_NUMBER << 3 | _BYTES


@dataclass(eq=False)
class Unreadable(Exception):
    """A message that is not built. `events` is how many it holds, as far as they were counted."""

    refused: Refused
    events: int = 0
    dry_run: bool = False


class IngestMessages:
    """Builds requests of what callers send. `count_corrupt` and `count_mended` are told of each message that is no
    protobuf, or holds text that is not UTF-8."""

    def __init__(self, count_corrupt: Callable[[], None], count_mended: Callable[[], None]) -> None:
        self._lenient = LenientText(IngestEventsRequest)
        self._count_corrupt = count_corrupt
        self._count_mended = count_mended

    def request(self, message: bytes) -> IngestEventsRequest:
        """The request. Text that is not UTF-8 is replaced as in JSON. Raises Unreadable."""
        if len(message) > MAX_BYTES:
            raise Unreadable(_too_large(f"{len(message)} bytes are over the {MAX_BYTES} of a request"))
        try:
            if _most_events(message) > _MAY_BE_BUILT:
                _check_count(message)
            request = self._built(message)
        except DecodeError as error:
            raise self.corrupt() from error
        if len(request.events) > MAX_EVENTS:
            raise Unreadable(_too_many(str(len(request.events))), len(request.events), request.dry_run)
        return request

    def streamed(self, message: bytes) -> bytes:
        """The request in a message of a stream. Raises Unreadable."""
        try:
            # Parts of one that comes in several are one, joined.
            return b"".join(message[start:end] for tag, start, end in _fields(message) if tag == _REQUEST)
        except DecodeError as error:
            raise self.corrupt() from error

    def corrupt(self) -> Unreadable:
        """What to raise of a message that cannot be read."""
        self._count_corrupt()
        return Unreadable(
            Refused.because(outcome_pb2.CAUSE_INVALID, "the message is not the protobuf message that the call takes")
        )

    def _built(self, message: bytes) -> IngestEventsRequest:
        try:
            return IngestEventsRequest.FromString(message)
        except DecodeError:
            request = self._lenient.read(message)
            self._count_mended()
            return request


def _most_events(message: bytes) -> int:
    """How many bytes could begin an event."""
    return message.count(_EVENTS) + message.count(_EVENTS | 0x80)


def _check_count(message: bytes) -> None:
    events, dry_run = 0, False
    for fields, (tag, start, _) in enumerate(_fields(message)):
        if fields == _MAX_FIELDS:
            raise Unreadable(_too_many(f"at least {events}"), events, dry_run)
        if tag == _EVENTS:
            events += 1
        elif tag == _DRY_RUN:
            dry_run = message[start] != 0
    if events > MAX_EVENTS:
        raise Unreadable(_too_many(str(events)), events, dry_run)


def _fields(message: bytes) -> Iterator[tuple[int, int, int]]:
    """The tag of each field of a message, and where its value begins and ends. Raises DecodeError."""
    place, end = 0, len(message)
    while place < end:
        tag = message[place]
        # Most tags and lengths are a single byte.
        tag, place = (tag, place + 1) if tag < 0x80 else _varint(message, place)
        start, kind = place, tag & 7
        if kind == _BYTES:
            length = message[place] if place < end else 0x80
            length, start = (length, place + 1) if length < 0x80 else _varint(message, place)
            place = start + length
        elif kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in (_FIXED_64, _FIXED_32):
            place += 8 if kind == _FIXED_64 else 4
        else:
            raise DecodeError("a group")
        if place > end:
            raise DecodeError("a field that does not end")
        yield tag, start, place


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(message[place : place + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, place + shift + 1
    raise DecodeError("a number that does not end")


def _too_many(events: str) -> Refused:
    return _too_large(f"{events} events are over the {MAX_EVENTS} of a request")


def _too_large(what: str) -> Refused:
    return Refused.because(outcome_pb2.CAUSE_TOO_LARGE, f"{what}: send parts")
