"""What a plugin prints, in the forwarder's log."""

import asyncio

import structlog

_LONGEST_LINE = 2000
_LINES_A_SECOND = 50
_BYTES_A_SECOND = 1024 * 1024

_log = structlog.get_logger(__name__)


class PrintedLines:
    """Logs lines with the sink's name: at most 50 in a second, the first 2,000 characters of each. A plugin that
    prints more than a MiB in a second waits for its next one; the forwarder has more to do than to read it."""

    def __init__(self, sink: str, stream: str) -> None:
        self._sink = sink
        self._stream = stream
        self._rest = b""
        self._room = _LINES_A_SECOND
        self._left_out = 0

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Until the end."""
        loop = asyncio.get_running_loop()
        ends, taken = loop.time() + 1.0, 0
        while part := await reader.read(65536):
            self._take(part)
            taken += len(part)
            if taken >= _BYTES_A_SECOND:
                await asyncio.sleep(max(0.0, ends - loop.time()))
            if loop.time() >= ends:
                ends, taken = loop.time() + 1.0, 0
                self._next_second()
        if self._rest:
            self._say(self._rest)
        self._next_second()

    def _take(self, part: bytes) -> None:
        *lines, rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._say(line)
        self._rest = rest[:_LONGEST_LINE]

    def _say(self, line: bytes) -> None:
        if self._room == 0:
            self._left_out += 1
            return
        self._room -= 1
        text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").rstrip()
        if text:
            _log.info("plugin printed", sink=self._sink, stream=self._stream, line=text)

    def _next_second(self) -> None:
        if self._left_out:
            _log.warning("plugin printed too much", sink=self._sink, stream=self._stream, left_out=self._left_out)
        self._room, self._left_out = _LINES_A_SECOND, 0
