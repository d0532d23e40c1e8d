"""Reads the body of a request, within limits of bytes and time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from headgate_dialects.formats.content_encoding import ACCEPT_ENCODING, Corrupt, Inflated, decoder
from headgate_dialects.formats.json_structure import MAX_VALUES, TooManyValues, ValueLimit
from headgate_dialects.sdk.rejection import Rejection

from headgate_gateway.http.worker_thread import WorkerThread

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
    total_seconds: float = 300.0
    """The longest wait for the whole, so that dripping does not hold a connection for ever."""
    discard_bytes: int = 16 * 1024 * 1024
    discard_seconds: float = 5.0
    """What is read of a refused body before the connection is closed."""
    inline_bytes: int = 256 * 1024
    """A body that decodes to more is decoded and parsed in the side thread; in the event loop it would take 5 ms."""


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


async def read_body(
    headers: Mapping[str, str],
    receive: Receive,
    wire_limit: int,
    limits: BodyLimits,
    side: WorkerThread,
    *,
    whole: bool = False,
) -> bytes:
    """Read and decode a body; where it is `whole`, the first `receive` gives all of it and waits for nothing.

    Raises BodyFault (TOO_LARGE, MEDIA_TYPE, SLOW, or NOT_JSON for corrupt data), ClientGone, or WorkerThreadBusy.
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
    wire = await (_whole(receive, wire_limit) if whole else _read_wire(headers, receive, wire_limit, limits))
    decoded_limit = wire_limit * limits.inflation
    try:
        if _may_be_large(headers, wire, limits):
            return await side.run(decode, wire, decoded_limit, ValueLimit().add)
        if len(wire) <= MAX_VALUES and "content-encoding" not in headers:
            return decode(wire, decoded_limit)
        return decode(wire, decoded_limit, ValueLimit().add)
    except Inflated:
        message = f"the body decodes to more than {decoded_limit} bytes"
        raise BodyFault(Rejection.TOO_LARGE, message, unread=False, limit=decoded_limit) from None
    except TooManyValues:
        message = f"the body holds more than {MAX_VALUES} values"
        raise BodyFault(Rejection.TOO_LARGE, message, unread=False, limit=MAX_VALUES) from None
    except Corrupt as corrupt:
        message = f"the body cannot be decompressed: {corrupt}"
        raise BodyFault(Rejection.NOT_JSON, message, unread=False) from None


def _may_be_large(headers: Mapping[str, str], wire: bytes, limits: BodyLimits) -> bool:
    # Events shrink to a tenth or so; what claims to shrink far more is small on the wire, and decoded in a moment.
    return "content-encoding" in headers and len(wire) * 16 > limits.inline_bytes


async def _whole(receive: Receive, limit: int) -> bytes:
    # Without _next_piece: this is done for each request.
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    wire: bytes = message["body"]
    if len(wire) > limit:
        raise _too_large(limit, unread=False)
    return wire


async def _read_wire(headers: Mapping[str, str], receive: Receive, limit: int, limits: BodyLimits) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit, unread=True)
    pieces: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    last_moment = loop.time() + limits.total_seconds
    try:
        async with asyncio.timeout(limits.idle_seconds) as patience:
            more = True
            while more:
                piece, more = await _next_piece(receive)
                size += len(piece)
                if size > limit:
                    raise _too_large(limit, unread=more)
                pieces.append(piece)
                if more:
                    patience.reschedule(min(loop.time() + limits.idle_seconds, last_moment))
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
