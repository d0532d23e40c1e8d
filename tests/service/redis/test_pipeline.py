"""The pipeline when its connection breaks: every command gets its own answer or an error, and none waits for ever."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.pipeline import RedisPipeline


class FlakyRedis:
    """Answers ECHO, and anything else with OK; hangs up after so many commands of a connection, in the midst of what
    came with them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        left = self._random.randrange(5, 60)
        try:
            while left:
                count = int((await reader.readuntil())[1:])
                words = []
                for _ in range(count):
                    size = int((await reader.readuntil())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                word = words[1] if words[0] == b"ECHO" else b"OK"
                writer.write(b"$%d\r\n%s\r\n" % (len(word), word))
                left -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.transport.abort()


@pytest.fixture
async def flaky(short_dir: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[FlakyRedis, RedisPipeline]]:
    redis = FlakyRedis(request.param)
    server = await asyncio.start_unix_server(redis.serve, short_dir / "flaky.sock")
    pipeline = RedisPipeline(f"unix://{short_dir}/flaky.sock", deadline=5)
    yield redis, pipeline
    await pipeline.close()
    server.close()


@pytest.mark.parametrize("flaky", range(4), indirect=True)
async def test_every_command_is_answered_with_its_own_reply_or_an_error(flaky):
    redis, pipeline = flaky
    answered = 0

    async def client(number: int) -> None:
        nonlocal answered
        for turn in range(300):
            word = f"{number}-{turn}-".encode() + b"x" * random.choice([10, 10, 20_000])
            try:
                async with asyncio.timeout(30):
                    assert await pipeline.execute("ECHO", word) == word
                answered += 1
            except RedisUnavailable:
                await asyncio.sleep(0.001)

    await asyncio.gather(*map(client, range(12)))
    assert answered > 500
    assert redis.connections > 20


async def test_a_cancelled_command_does_not_shift_the_replies_of_others(redis_url):
    pipeline = RedisPipeline(redis_url)
    replies = [asyncio.ensure_future(pipeline.execute("ECHO", str(number))) for number in range(100)]
    for reply in replies[::3]:
        reply.cancel()
    rest = [number for number in range(100) if number % 3]
    assert await asyncio.gather(*(replies[n] for n in rest)) == [str(n).encode() for n in rest]
    assert await pipeline.execute("ECHO", "after") == b"after"
    await pipeline.close()


async def test_a_silent_redis_is_unavailable_after_the_deadline(short_dir):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, short_dir / "silent.sock")
    pipeline = RedisPipeline(f"unix://{short_dir}/silent.sock", deadline=0.2)
    with pytest.raises(RedisUnavailable, match="no reply in time"):
        await pipeline.execute("PING")
    await pipeline.close()
    server.close()
