"""Reads the body of a request, within limits of bytes and time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from headgate_dialects.formats.content_encoding import ACCEPT_ENCODING, Corrupt, Decoder, Inflated, decoder
from headgate_dialects.formats.json_structure import MAX_VALUES, TooManyValues, ValueLimit
from headgate_dialects.sdk.rejection import Rejection

from headgate_gateway.http.body_budget import BodyBudget, HeldBody, Overloaded
from headgate_gateway.http.worker_thread import WorkerThread, WorkerThreadBusy

R = TypeVar("R")

ACCEPT = "application/json, text/plain, application/x-www-form-urlencoded"

_READ_AS_JSON = frozenset({"application/json", "text/plain", "application/x-www-form-urlencoded", ""})
_UTF_8 = frozenset({"utf-8", "utf8"})


@lru_cache(maxsize=64)
def is_json_content_type(content_type: str) -> bool:
    """Say whether a body of this Content-Type (empty: none was given) is taken.

    `text/plain` is what a beacon sends, and the form type what curl sends unasked. A charset must be UTF-8 in some
    spelling; other parameters mean nothing for JSON.
    """
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() not in _READ_AS_JSON:
        return False
    return not parameters or all(map(_harmless, parameters.split(";")))


def _harmless(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip().lower() != "charset" or value.strip().strip("\"'").lower() in _UTF_8


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits of every body: times in seconds, sizes in bytes; the wire limit is each dialect's own."""

    inflation: int = 5
    """A decoded body is at most this many times the wire limit."""
    idle_seconds: float = 30.0
    """The longest wait for the next piece."""
    grace_seconds: float = 30.0
    bytes_per_second: int = 1024
    """How slow a body may be: after the grace it must have come at this rate on average."""
    total_seconds: float = 300.0
    """The longest wait for the whole, so that dripping does not hold a connection for ever."""
    bodies: int = 1_000
    held_bytes: int = 128 * 1024 * 1024
    """How many bodies may be on their way at once, and what of them may be held; a small one that comes with its head
    counts for neither."""
    discard_bytes: int = 16 * 1024 * 1024
    discard_seconds: float = 5.0
    """What is read of a refused body before the connection is closed."""
    inline_bytes: int = 256 * 1024
    """A body that decodes to more is decoded and parsed in the side thread; in the event loop it would take 5 ms."""

    def seconds_for(self, size: int) -> float:
        """The longest that so many bytes may take."""
        return min(self.total_seconds, self.grace_seconds + size / self.bytes_per_second)


@dataclass(eq=False)
class BodyFault(Exception):
    """The body is not taken.

    `unread`: the client may still be sending it. `limit` is the limit, in bytes or values, that it is over, `headers`
    say what would be taken instead.
    """

    cause: Rejection
    message: str
    unread: bool = True
    limit: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class ClientGone(Exception):
    """The client hung up before its body was complete: nobody hears an answer."""


def bears_body(headers: Mapping[str, str]) -> bool:
    """Say whether the request announces a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


@dataclass(frozen=True, slots=True)
class BodyReader:
    """What every body of a gateway is read with."""

    limits: BodyLimits
    side: WorkerThread
    budget: BodyBudget


async def read_body(
    headers: Mapping[str, str],
    receive: Receive,
    wire_limit: int,
    reader: BodyReader,
    read: Callable[[bytes], R],
    *,
    whole: bool = False,
) -> R:
    """Return what `read` makes of a decoded body; where it is `whole`, the first `receive` gives all of it.

    A large body is decoded and read in the side thread. Raises BodyFault (TOO_LARGE, MEDIA_TYPE, SLOW, or NOT_JSON for
    corrupt data), ClientGone, Overloaded, or what `read` raises.
    """
    if not is_json_content_type(headers.get("content-type", "")):
        message = "send JSON as application/json in UTF-8"
        raise BodyFault(Rejection.MEDIA_TYPE, message, bears_body(headers), headers={"Accept": ACCEPT})
    decode = decoder(headers.get("content-encoding", ""))
    if decode is None:
        message = "send one of the content encodings gzip, deflate, br, zstd, or none"
        raise BodyFault(
            Rejection.MEDIA_TYPE, message, bears_body(headers), headers={"Accept-Encoding": ACCEPT_ENCODING}
        )
    if whole:
        wire = await _whole(receive, wire_limit)
        # Of a body that is there and small nothing is held beyond this turn of the event loop.
        if "content-encoding" not in headers and len(wire) <= reader.limits.inline_bytes:
            return read(wire)
        return await _decode_and_read(wire, decode, wire_limit, reader, read)
    with reader.budget.body() as held:
        wire = await _read_wire(headers, receive, wire_limit, reader.limits, held)
        return await _decode_and_read(wire, decode, wire_limit, reader, read)


async def _decode_and_read(
    wire: bytes, decode: Decoder, wire_limit: int, reader: BodyReader, read: Callable[[bytes], R]
) -> R:
    limit = wire_limit * reader.limits.inflation
    inline = min(limit, reader.limits.inline_bytes)
    try:
        try:
            body = decode(wire, inline)
        except Inflated:
            # In one piece of work, so that of all the bodies that wait for the thread none is decoded yet.
            return await reader.side.run(lambda: read(decode(wire, limit, ValueLimit().add)))
    except WorkerThreadBusy:
        raise Overloaded(unread=False) from None
    except Inflated:
        message = f"the body decodes to more than {limit} bytes"
        raise BodyFault(Rejection.TOO_LARGE, message, unread=False, limit=limit) from None
    except TooManyValues:
        message = f"the body holds more than {MAX_VALUES} values"
        raise BodyFault(Rejection.TOO_LARGE, message, unread=False, limit=MAX_VALUES) from None
    except Corrupt as corrupt:
        message = f"the body cannot be decompressed: {corrupt}"
        raise BodyFault(Rejection.NOT_JSON, message, unread=False) from None
    return read(body)


async def _whole(receive: Receive, limit: int) -> bytes:
    # Without _next_piece: this is done for each request.
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    wire: bytes = message["body"]
    if len(wire) > limit:
        raise _too_large(limit, unread=False)
    return wire


async def _read_wire(
    headers: Mapping[str, str], receive: Receive, limit: int, limits: BodyLimits, held: HeldBody
) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit, unread=True)
    pieces: list[bytes] = []
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(min(limits.idle_seconds, limits.grace_seconds)) as patience:
            more = True
            while more:
                piece, more = await _next_piece(receive)
                if held.size + len(piece) > limit:
                    raise _too_large(limit, unread=more)
                held.grow(len(piece))
                pieces.append(piece)
                if more:
                    patience.reschedule(min(loop.time() + limits.idle_seconds, started + limits.seconds_for(held.size)))
    except TimeoutError:
        raise BodyFault(Rejection.SLOW, "the body did not arrive in time; send it again") from None
    return b"".join(pieces)


def _too_large(limit: int, *, unread: bool) -> BodyFault:
    return BodyFault(Rejection.TOO_LARGE, f"the body is over {limit} bytes", unread, limit)


async def _next_piece(receive: Receive) -> tuple[bytes, bool]:
    """Return a piece and whether more will come; to ask for more than there is would wait for ever."""
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def answer_then_discard(answer: bytes, receive: Receive, limits: BodyLimits) -> AsyncIterator[bytes]:
    """Send `answer`, then read what the client still sends before the server closes.

    Closing on unread data resets the connection, and the client might never see the answer.
    """
    yield answer
    left = limits.discard_bytes
    with contextlib.suppress(TimeoutError, ClientGone):
        async with asyncio.timeout(limits.discard_seconds):
            more = True
            while more and left >= 0:
                piece, more = await _next_piece(receive)
                left -= len(piece)
