"""A planned failover: the primary becomes a replica, and the address leads to the other one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.readiness import RedisReadiness
from prometheus_client import CollectorRegistry

from tests.service.redis.pair import Pair, running

SCRIPT = "return redis.call('INCR', KEYS[1])"


@pytest.fixture
async def pair(short_dir: Path) -> AsyncIterator[Pair]:
    async with running(short_dir) as pair:
        yield pair


@pytest.fixture
async def pipeline(pair: Pair) -> AsyncIterator[RedisPipeline]:
    pipeline = RedisPipeline(pair.address.url)
    yield pipeline
    await pipeline.close()


@pytest.mark.parametrize("command", [("INCR", "n"), ("EVAL", SCRIPT, 1, "n")])
async def test_a_primary_that_became_a_replica_is_left(pair, pipeline, command):
    assert await pipeline.execute(*command) == 1
    await asyncio.to_thread(pair.follow, pair.second, pair.first)
    await asyncio.to_thread(pair.promote, pair.second)
    await asyncio.to_thread(pair.follow, pair.first, pair.second)
    with pytest.raises(RedisUnavailable, match="read-only"):
        await pipeline.execute(*command)
    with pytest.raises(RedisUnavailable, match="read-only"):
        await pipeline.execute(*command)
    pair.address.target = pair.second.port
    for _ in range(3):
        try:
            assert await pipeline.execute(*command) == 2
        except RedisUnavailable:
            # It was on its way to the old one.
            continue
        break
    else:
        pytest.fail("the pipeline stays with the replica")


async def test_a_replica_is_not_ready(pair, pipeline):
    readiness = RedisReadiness(pipeline, CollectorRegistry())
    assert await readiness.ready()
    pair.address.target = pair.second.port
    assert await readiness.ready()
    await pipeline.close()
    assert not await readiness.ready()
    pair.address.target = pair.first.port
    ends = asyncio.get_running_loop().time() + 10
    while not await readiness.ready():
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.05)


async def test_one_that_is_away_is_not_ready(pair, pipeline):
    readiness = RedisReadiness(pipeline, CollectorRegistry())
    assert await readiness.ready()
    pair.first.kill()
    assert not await readiness.ready()
