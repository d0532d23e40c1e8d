"""A faulty network between Headgate and a Redis that others run."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from headgate_cli.run.embedded_redis import EmbeddedRedis, find_server

from tests.faults.process_faults import Kill, KillAll, Terminate
from tests.faults.world import Fault, World

CHUNK = 65536


class ExternalRedis:
    """A durable Redis, by a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self._embedded = EmbeddedRedis(folder, max_memory="1gb")
        self._server = find_server()
        self._embedded.prepare(self._server)
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self._embedded.socket)

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = self._embedded.command(self._server)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ends = time.monotonic() + 30
        while not self._embedded.answers():
            if self._process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"redis-server did not start: {self._log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> "Iterator[ExternalRedis]":
        redis = cls(folder)
        redis.start()
        try:
            yield redis
        finally:
            redis.kill()


@dataclass
class Proxy:
    """TCP to a Unix socket. What is done to one way of a connection is done to all."""

    target: str
    # Seconds that each piece takes, each way.
    latency: float = 0.0
    # Whether nothing passes, and nobody is told.
    black_hole: bool = False
    # So many of the next replies are lost, each with its connection.
    drop_replies: int = 0
    # Whether connections are ended as soon as they are made.
    refuse: bool = False
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"redis://127.0.0.1:{self.port}"
        finally:
            server.close()
            self.reset()

    def reset(self) -> None:
        """End all connections at once, whatever is on its way."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.refuse:
            to_client.transport.abort()
            return
        try:
            redis, to_redis = await asyncio.open_unix_connection(self.target)
        except OSError:
            to_client.transport.abort()
            return
        ends = {to_client, to_redis}
        self._open |= ends
        ways = [
            asyncio.create_task(self._pass(client, to_redis, replies=False)),
            asyncio.create_task(self._pass(redis, to_client, replies=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(CHUNK):
                await asyncio.sleep(self.latency)
                while self.black_hole:
                    await asyncio.sleep(0.02)
                if replies and self.drop_replies > 0:
                    self.drop_replies -= 1
                    return
                to.write(piece)
                await to.drain()


@dataclass(frozen=True)
class Latency:
    """Every piece takes so long, each way, for so many seconds."""

    proxy: Proxy = field(repr=False)
    latency: float
    seconds: float

    async def strike(self, world: World) -> None:
        self.proxy.latency = self.latency
        try:
            await world.wait(self.seconds)
        finally:
            self.proxy.latency = 0.0


@dataclass(frozen=True)
class Resets:
    """All connections end at once, so many times."""

    proxy: Proxy = field(repr=False)
    times: int

    async def strike(self, world: World) -> None:
        for _ in range(self.times):
            self.proxy.reset()
            await world.wait(world.random.random() / 2)


@dataclass(frozen=True)
class BlackHole:
    """Nothing passes for so many seconds; then all of it does, or the connections end."""

    proxy: Proxy = field(repr=False)
    seconds: float
    then_reset: bool

    async def strike(self, world: World) -> None:
        self.proxy.black_hole = True
        try:
            await world.wait(self.seconds)
            if self.then_reset:
                self.proxy.reset()
        finally:
            self.proxy.black_hole = False


@dataclass(frozen=True)
class Refused:
    """No connection is kept or made for so many seconds."""

    proxy: Proxy = field(repr=False)
    seconds: float

    async def strike(self, world: World) -> None:
        self.proxy.refuse = True
        try:
            self.proxy.reset()
            await world.wait(self.seconds)
        finally:
            self.proxy.refuse = False


@dataclass(frozen=True)
class RepliesDropped:
    """Redis does what it is asked, and so many of its replies are lost with their connections."""

    proxy: Proxy = field(repr=False)
    replies: int

    async def strike(self, world: World) -> None:
        self.proxy.drop_replies = self.replies
        await world.until(lambda: self.proxy.drop_replies <= 0, "all the replies were dropped")


@dataclass(frozen=True)
class KillRedis:
    """kill -9 of the Redis that others run, which stays away for so many seconds."""

    redis: ExternalRedis = field(repr=False)
    seconds: float

    async def strike(self, world: World) -> None:
        self.redis.kill()
        await world.wait(self.seconds)
        await asyncio.to_thread(self.redis.start)


def draw(random: Random, proxy: Proxy, redis: ExternalRedis, rounds: int) -> list[Fault]:
    """So many faults. Each kind comes once before one comes a second time."""
    drawn: list[Fault] = []
    while len(drawn) < rounds:
        deck: list[Fault] = [
            Latency(proxy, random.choice([0.02, 0.1, 0.4]), round(random.uniform(1, 5), 1)),
            Resets(proxy, random.choice([1, 5, 20])),
            BlackHole(proxy, round(random.uniform(0.5, 12), 1), random.random() < 0.5),
            Refused(proxy, round(random.uniform(0.5, 6), 1)),
            RepliesDropped(proxy, random.choice([1, 10, 50])),
            RepliesDropped(proxy, random.choice([1, 10, 50])),
            KillRedis(redis, round(random.uniform(0, 5), 1)),
            random.choice([Kill("service"), Kill("forwarder"), KillAll(), Terminate()]),
        ]
        random.shuffle(deck)
        drawn += deck
    return drawn[:rounds]
