"""Sends one HTTP request again and again: `python -m bench.http_load`, the load as JSON on standard input."""

import asyncio
import json
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import cast

import uvloop

from bench.pace import Pace

# Replaced in each body by a number that no other request has.
MARK = b"0000000000"


@dataclass(frozen=True)
class HttpLoad:
    """What to send where, over how many connections, for how long; `rate` as in Pace.

    `keys` are taken in turn as the value of the header `key_header`.
    """

    host: str
    port: int
    path: str
    body: str
    connections: int
    seconds: float
    rate: float | None = None
    gzip: bool = False
    key_header: str | None = None
    keys: tuple[str, ...] = ()

    def wire(self) -> Iterator[bytes]:
        """The requests, each as the bytes to send."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
        if self.gzip:
            lines.append("Content-Encoding: gzip")
        head = "\r\n".join(lines)
        named = [f"{head}\r\n{self.key_header}: {key}" for key in self.keys] if self.key_header else [head]
        heads = cycle([f"{one}\r\nContent-Length: ".encode() for one in named])
        body = self.body.encode()
        number = first_number()
        while True:
            number += 1
            sent = body.replace(MARK, b"%010d" % (number % 10**10))
            if self.gzip:
                packer = zlib.compressobj(1, wbits=31)
                sent = packer.compress(sent) + packer.flush()
            yield b"%s%d\r\n\r\n%s" % (next(heads), len(sent), sent)


def first_number() -> int:
    """Where a load starts to count: no two loads of a day send the same, up to 100,000 requests a second."""
    return time.time_ns() // 10_000


class _Connection(asyncio.Protocol):
    def __init__(self, pace: Pace, requests: Iterator[bytes]) -> None:
        self._pace = pace
        self._requests = requests
        self._buffer = b""
        self._waits = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it by uvloop, but alike.
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        self._waits = True
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.lower().index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        self._waits = False
        self._pace.answered(self, head[9:12].decode())

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._waits:
            self._waits = False
            self._pace.answered(self, "connection lost")

    def close(self) -> None:
        self._transport.close()


async def send(load: HttpLoad) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    pace = Pace(load.seconds, load.rate)
    requests = load.wire()
    lanes = [
        (await loop.create_connection(lambda: _Connection(pace, requests), load.host, load.port))[1]
        for _ in range(load.connections)
    ]
    measured = await pace.run(lanes)
    for lane in lanes:
        lane.close()
    return asdict(measured)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(send(HttpLoad(**json.load(sys.stdin))))))
