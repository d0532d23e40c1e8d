"""A closed-loop HTTP/1.1 load: so many connections, each sending its next request when its last is answered."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass
class Load:
    """What to send where: `requests` are whole HTTP requests, sent in turn."""

    host: str
    port: int
    connections: int
    seconds: float
    requests: list[str]


@dataclass
class Measured:
    """Answers by status, and how long each took, in seconds."""

    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_seconds: float = 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Run") -> None:
        self._load = load
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._load.next())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        length = int(lower[at:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = body[length:]
        self._load.answered(head[9:12].decode(), time.perf_counter() - self._sent)
        if self._load.running:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._load.running:
            self._load.answered("lost", 0.0)


class _Run:
    def __init__(self, load: Load) -> None:
        self._requests = [request.encode() for request in load.requests]
        self._turn = 0
        self._took: list[float] = []
        self._statuses: Counter[str] = Counter()
        self.running = True

    def next(self) -> bytes:
        self._turn += 1
        # A number of its own for each request, where one has room for it.
        return self._requests[self._turn % len(self._requests)].replace(b"0000000000", b"%010d" % self._turn)

    def answered(self, status: str, took: float) -> None:
        self._statuses[status] += 1
        self._took.append(took)

    def measured(self, seconds: float) -> Measured:
        took = sorted(self._took)
        return Measured(
            seconds,
            dict(self._statuses),
            took[len(took) // 2] * 1000,
            took[len(took) * 99 // 100] * 1000,
            time.process_time(),
        )


async def send(load: Load) -> Measured:
    loop = asyncio.get_running_loop()
    run = _Run(load)
    start = time.perf_counter()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Connection(run), load.host, load.port)
    await asyncio.sleep(load.seconds)
    seconds = time.perf_counter() - start
    measured = run.measured(seconds)
    run.running = False
    await asyncio.sleep(0.3)
    return measured


def main() -> None:
    """Reads a Load as JSON from standard input and writes what was measured; the first argument is the core to use."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    import uvloop

    print(json.dumps(asdict(uvloop.run(send(Load(**json.load(sys.stdin)))))))


if __name__ == "__main__":
    main()
