"""Five queries of a project at once, whichever service runs them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from headgate_service.errors import TooManyQueries
from headgate_service.query.at_once import AtOnce
from headgate_service.redis.keys import running_queries
from headgate_service.redis.pipeline import RedisPipeline


@pytest.fixture
async def services(redis_url: str) -> AsyncIterator[tuple[AtOnce, AtOnce]]:
    pipelines = [RedisPipeline(redis_url) for _ in range(2)]
    yield AtOnce(pipelines[0]), AtOnce(pipelines[1])
    for pipeline in pipelines:
        await pipeline.close()


async def hold(at_once: AtOnce, project_id: str, ended: asyncio.Event, began: asyncio.Event | None = None) -> None:
    async with at_once.one(project_id):
        if began:
            began.set()
        await ended.wait()


async def test_the_limit_holds_over_all_services(services):
    ended, began = asyncio.Event(), [asyncio.Event() for _ in range(5)]
    running = [asyncio.create_task(hold(services[n % 2], "p", ended, began[n])) for n in range(5)]
    await asyncio.gather(*(one.wait() for one in began))
    for service in services:
        with pytest.raises(TooManyQueries):
            await hold(service, "p", ended)
    async with services[0].one("another"):
        pass
    ended.set()
    await asyncio.gather(*running)
    async with services[1].one("p"):
        pass


async def test_a_service_that_was_killed_leaves_its_places(services, redis):
    await redis.zadd(running_queries("p"), {f"dead{n}": 1 for n in range(5)})
    async with services[0].one("p"):
        assert await redis.zcard(running_queries("p")) == 1


async def test_without_redis_each_service_counts_its_own():
    pipeline = RedisPipeline("redis://127.0.0.1:1", deadline=0.5)
    at_once, ended = AtOnce(pipeline), asyncio.Event()
    began = [asyncio.Event() for _ in range(5)]
    running = [asyncio.create_task(hold(at_once, "p", ended, one)) for one in began]
    await asyncio.gather(*(one.wait() for one in began))
    with pytest.raises(TooManyQueries):
        await hold(at_once, "p", ended)
    ended.set()
    await asyncio.gather(*running)
    await pipeline.close()
