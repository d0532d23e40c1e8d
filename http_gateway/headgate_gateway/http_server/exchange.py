"""One request and its answer on a connection."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_HOP_HEADERS = frozenset({b"connection", b"transfer-encoding"})
# All but the tab: some of them would end a header early, none stands in one.
_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})


class Exchange(RequestResponseCycle):
    """As uvicorn's, but that an answer which is there as a whole leaves in one write, a third as dear.

    uvicorn writes the head and the body of an answer apart, each a system call and a packet of its own, and looks at
    each header twice for what may not stand in it.
    """

    def __init__(self, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._start: Any = None
        """The start of an answer of which nothing was sent yet."""

    async def receive(self) -> Any:
        there = self.message_event.is_set() and not self.more_body
        if not there or self.disconnected or self.response_complete or self.waiting_for_100_continue:
            return await super().receive()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if not self.response_started:
            if message["type"] == "http.response.start":
                self._start = message
                return
            start, self._start = self._start, None
            if start is not None:
                if not message.get("more_body") and self._send_whole(start, message.get("body", b"")):
                    return
                await super().send(start)
        await super().send(message)

    def _send_whole(self, start: Any, body: bytes) -> bool:
        """False where uvicorn must look at it more closely."""
        if self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        lines = [b"%b: %b" % field for field in self.default_headers]
        for name, value in start["headers"]:
            if name in _HOP_HEADERS:
                return False
            lines.append(b"%b: %b" % (name, value))
        if b"content-length: %d" % len(body) not in lines:
            return False
        if not self.keep_alive:
            lines.append(b"connection: close")
        joined = b"".join(lines)
        if len(joined.translate(None, _CONTROLS)) < len(joined):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(STATUS_LINE[start["status"]] + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
