"""A webhook's receiver that does next to nothing: `python -m bench.receiver PORT FILE`.

It answers 200, and writes to FILE a line of two numbers for each batch: how many milliseconds lie between its first
event's time in the log and now, and the same of its last event.
"""

import asyncio
import json
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import IO, cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_TIME = re.compile(rb'"receive_?[tT]ime":\s*"([^"]+)"')


class _Receiver(asyncio.Protocol):
    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._buffer = bytearray()
        self._wants = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._wants:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = bytes(self._buffer[:head]).lower()
            length = int(lower[lower.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
            self._wants = head + 4 + length
        if len(self._buffer) >= self._wants:
            self._took(bytes(self._buffer[: self._wants]))
            del self._buffer[: self._wants]
            self._wants = 0
            self._transport.write(_ANSWER)

    def _took(self, request: bytes) -> None:
        first = _TIME.search(request)
        last = _TIME.search(request, request.rfind(b'"receive'))
        if first and last:
            now = time.time()
            self._out.write(json.dumps([_milliseconds(now, first[1]), _milliseconds(now, last[1])]) + "\n")


def _milliseconds(now: float, receive_time: bytes) -> float:
    return (now - datetime.fromisoformat(receive_time.decode()).timestamp()) * 1000


async def serve(port: int, out: IO[str]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Receiver(out), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", buffering=1) as file:
        uvloop.run(serve(int(sys.argv[1]), file))
