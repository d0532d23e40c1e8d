"""The redis_stream sink in the conformance kit, against a real Redis behind a connection that can fail."""

import asyncio
import contextlib
import json
from typing import ClassVar

import pytest
from headgate_sinks.conformance import (
    AnswerLost,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.redis_stream import RedisStreamSink
from redis import asyncio as redis

PASSWORD = "s3cret-of-the-user"
ANYTHING = "a Redis stream takes an entry whatever is in it"


class Stream(Target):
    """A TCP door to the Redis behind a Unix socket."""

    def __init__(self, url):
        self.client = redis.Redis.from_url(url)
        self.path = url.removeprefix("unix://").partition("?")[0]
        self.fault = None
        self.url = ""

    async def received(self):
        return [json.loads(fields[b"event"]) for _, fields in await self.client.xrange("events")]

    async def arm(self, fault):
        self.fault = fault
        right = "-evalsha" if fault == NotAllowed() else "+@all"
        await self.client.execute_command("ACL", "SETUSER", "hg", "on", f">{PASSWORD}", "~*", right)

    async def connected(self, reader, writer):
        try:
            behind_reader, behind_writer = await asyncio.open_unix_connection(self.path)
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pass_on(reader, behind_writer, answers=False))
                group.create_task(self.pass_on(behind_reader, writer, answers=True))
        finally:
            writer.close()
            behind_writer.close()

    async def pass_on(self, reader, writer, answers):
        while data := await reader.read(1 << 20):
            # Only a script that ran answers with a number.
            if self.fault == Unavailable() or (self.fault == AnswerLost() and answers and data.startswith(b":")):
                break
            if self.fault == Silent():
                await asyncio.Event().wait()
            writer.write(data)
        raise ConnectionResetError


class TestRedisStream(SinkConformance):
    sink = RedisStreamSink
    cannot: ClassVar = {
        RateLimited: "Redis knows no rate limit",
        Refuses: ANYTHING,
        Poison: ANYTHING,
        TakesSome: ANYTHING,
        TakesOnly: "a Redis stream takes batches of any size that the engine makes",
    }

    @pytest.fixture(autouse=True)
    def _redis(self, redis_url):
        self.redis_url = redis_url

    @contextlib.asynccontextmanager
    async def target(self, folder):
        stream = Stream(self.redis_url)
        await stream.arm(None)
        connections = set()

        async def connected(reader, writer):
            connections.add(asyncio.current_task())
            with contextlib.suppress(ExceptionGroup):
                await stream.connected(reader, writer)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        stream.url = f"redis://hg:{PASSWORD}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield stream
        finally:
            server.close()
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await stream.client.execute_command("ACL", "DELUSER", "hg")
            await stream.client.aclose()

    def config(self, target):
        return {"url": "env:REDIS", "stream": "events", "timeout": 5}

    def environment(self, target):
        return {"REDIS": target.url}
