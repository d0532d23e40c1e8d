"""HTTP/1.1 on one connection: what uvicorn leaves open is bounded here, and what could be read in two ways refused.

uvicorn with httptools waits for ever for the rest of a request's head and lets it grow for ever, takes a chunked
body's trailers for headers, and answers a request that asks for an upgrade (as Java's client does by itself) as if it
had no body, whose bytes it may then read as a request of their own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from headgate_gateway.http_server.buffered_transport import BufferedTransport
from headgate_gateway.http_server.deferred_body import WHOLE_BODY
from headgate_gateway.http_server.exchange import Exchange

_FRAMING = (b"content-length", b"transfer-encoding")
# Of a header beside its name and value: a colon, a space, the line's end.
_FIELD_BYTES = 4
# Around a value, and no part of it (RFC 9110, 5.5).
_BLANKS = b" \t"
_PHRASES = {
    HTTPStatus.BAD_REQUEST: b"Invalid HTTP request received.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: b"The request's headers are too large.",
    HTTPStatus.NOT_IMPLEMENTED: b"The only transfer encoding read is chunked.",
    HTTPStatus.SERVICE_UNAVAILABLE: b"Too many connections are open: retry.",
}
# Of a connection beyond the limit: how long it may take to send something, and to read the answer.
_SHED_SECONDS = 1.0
# At the server's end: how long a connection without a request may take to send one.
_LAST_REQUEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Limits of a request's head, its line and headers, and of what is not body after it. Sizes are in bytes."""

    seconds: float = 10.0
    """The longest wait for the whole of it: from the connection's start, or from its first byte on a used one."""
    size: int = 64 * 1024
    """Of all of it, trailers included; and of chunk extensions between two pieces of body."""
    fields: int = 100
    """How many headers and trailers there may be."""
    discard_bytes: int = 16 * 1024 * 1024
    discard_seconds: float = 5.0
    """What is read of a refused request before the connection is closed, so that the client sees the answer."""


def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """A request's path, the same as it came, and its query. Raises HttpParserError."""
    return _usual_target(url) if len(url) <= _USUAL_URL_BYTES else _parsed_target(url)


def _parsed_target(url: bytes) -> tuple[str, bytes, bytes]:
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


# Clients ask for a few again and again.
_USUAL_URL_BYTES = 64
_usual_target = lru_cache(maxsize=256)(_parsed_target)


class Connections:
    """How many connections are held. Beyond it an idle one is closed; where none is, the new one is answered 503."""

    def __init__(self, most: int, on_shed: Callable[[], None]) -> None:
        self.most = most
        # Those that are answered 503 are open for a moment; beyond these nobody is answered.
        self.most_with_shed = most + max(16, most // 4)
        self.on_shed = on_shed


class _Refused(Exception):
    """Stops the parser; which status is the answer stands in the connection."""


class HttpConnection(HttpToolsProtocol):
    """One connection. Requests before one that is refused still get their own answers."""

    def __init__(self, *, limits: HeadLimits, held: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._limits = limits
        self._held = held
        self._shed = False
        """It is one too many."""
        self._ending = False
        """The server ends: the next answer is the last."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        """When the last answer was complete; None while a request is read or answered."""
        self._status = HTTPStatus.BAD_REQUEST
        self._refused = False
        self._begun = False
        """A head has begun and is not complete."""
        self._in_body = False
        """A head is complete and its message is not."""
        self._resuming = False
        self._bytes = 0
        self._fields = 0
        self._idle_bytes = 0
        """Bytes since the parser last got anywhere: a header, chunk extension or trailer without end, or blank lines.
        Where it does so within one read, the rest of that read is not counted."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = BufferedTransport(transport, self.loop)  # type: ignore[assignment]
        if len(self.connections) > self._held.most:
            self._make_room()
        self._await_head()

    def shutdown(self) -> None:
        self._ending = True
        if self.cycle is None or self.cycle.response_complete:
            # A request may be on its way, or in the kernel's hands.
            self._end_timer = self.loop.call_later(_LAST_REQUEST_SECONDS, self._close_unless_asked)
        else:
            self.cycle.keep_alive = False

    def _close_unless_asked(self) -> None:
        # The rest of a head is waited for as long as ever.
        if not self._begun and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _make_room(self) -> None:
        idle = next((connection for connection in self.connections if connection.gives_way()), None)  # type: ignore[union-attr]
        if idle is not None:
            return
        self._held.on_shed()
        if len(self.connections) > self._held.most_with_shed:
            self.transport.abort()
        self._shed = True

    def gives_way(self) -> bool:
        """Close it if it waits for a request and nothing else; say so."""
        if self._idle_since is None or self._begun or self.transport.is_closing():
            return False
        self._idle_since = None
        self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head_timer, self._linger_timer, self._idle_timer, self._end_timer):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        if self._shed:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._unset_keepalive_if_required()
        self._idle_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._status)
            return
        if self._idle_bytes > self._limits.size:
            self._refuse(HTTPStatus.BAD_REQUEST if self._in_body else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._head_timer is None and not self._in_body and (self._begun or self._idle_bytes):
            self._await_head()

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        self._begun = True
        self._bytes = self._fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            self._bytes += len(url)
            if self._bytes > self._limits.size:
                self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._resuming:
            return
        self._fields += 1
        self._bytes += len(name) + len(value) + _FIELD_BYTES
        if self._bytes > self._limits.size or self._fields > self._limits.fields:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        # Else it is a trailer. Whoever checked the headers in front of us has not seen it.
        if not self._in_body:
            self.headers.append((name.lower(), value.strip(_BLANKS)))

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        version = self.parser.get_http_version()
        self._check_head(version)
        self._begun, self._in_body = False, True
        self._idle_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"], scope["raw_path"], scope["query_string"] = _target(self.url)
        before = self.cycle
        self.cycle = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive() and not self._ending,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # The client did not wait for the answer before this one.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            # The parser means that the rest is of another protocol; `_read_on` says otherwise.
            return
        self._idle_bytes = 0
        self._in_body = False
        self.scope[WHOLE_BODY] = True  # type: ignore[literal-required]  # it is ours, not ASGI's
        super().on_message_complete()

    def on_response_complete(self) -> None:
        # As uvicorn's own, but for the timer of an idle connection: to set and cancel one for each request costs more
        # than to look, when it is due, whether anything has come since.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._close_idle()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _close_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(left, self._close_idle)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_on(data[upgrade.args[0] :])

    def _read_on(self, rest: bytes) -> None:
        """Take the request for one that asks for no upgrade: nothing else is spoken here, and to ask binds nobody.

        A new parser is told how the body is framed and nothing more, as the head has been read.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] in _FRAMING)
        self._resuming = True
        # Without a body it would say at once that the message is complete, which is right.
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing)
        self.parser.feed_data(b"\r\n")
        self._resuming = False
        if rest:
            self._feed(rest)

    def _check_head(self, version: str) -> None:
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if hosts != 1 and not (hosts == 0 and version == "1.0"):
            self._stop(HTTPStatus.BAD_REQUEST)
        if b"transfer-encoding" in names and any(
            name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in self.headers
        ):
            self._stop(HTTPStatus.NOT_IMPLEMENTED)
        if b"expect" in names:
            self.expect_100_continue = any(
                name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
            )

    def _stop(self, status: HTTPStatus) -> None:
        self._status = status
        raise _Refused

    def _await_head(self) -> None:
        seconds = _SHED_SECONDS if self._shed else self._limits.seconds
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            # The request before is still being answered.
            self._await_head()
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # What cannot be read came after whole requests; the answer would be taken for theirs.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        text = _PHRASES[status]
        self.transport.write(
            STATUS_LINE[status]
            + b"".join(b"%s: %s\r\n" % field for field in self.server_state.default_headers)
            + (b"retry-after: 1\r\n" if self._shed else b"")
            + b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            + text
        )
        self._linger()

    def _linger(self) -> None:
        # Closing on unread data resets the connection, and the client might never see the answer.
        self._left = self._limits.discard_bytes
        seconds = _SHED_SECONDS if self._shed else self._limits.discard_seconds
        self._linger_timer = self.loop.call_later(seconds, self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _discard(self, size: int) -> None:
        if self._linger_timer is not None:
            self._left -= size
            if self._left < 0:
                self.transport.close()
