"""Refused requests of a project, in a real Redis."""

import asyncio

import pytest
from headgate_service.directory.project import Project
from headgate_service.ingest import refused_requests
from headgate_service.ingest.refused_requests import MAX_KEPT, MAX_WAITING_EACH, RefusedRequests
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline


@pytest.fixture
async def kept(redis_url):
    pipeline = RedisPipeline(redis_url)
    yield RefusedRequests(pipeline, now_ms=lambda: 1_000)
    await pipeline.close()


@pytest.fixture
def project() -> Project:
    return Project("p", "p", "P", "o", 3, None, None)


async def test_they_come_back_in_order_and_end_after_a_day(kept, project, redis):
    for number in range(3):
        kept.note(project, "DIALECT_XAIKU", "INVALID", number)
    await kept.flush()
    assert [one.events for one in await kept.latest(project, 10)] == [0, 1, 2]
    assert [one.events for one in await kept.latest(project, 1)] == [2]
    assert 0 < await redis.ttl(shard_keys(3).project("p").refused) <= 24 * 3600


async def test_no_more_than_the_latest_thousand_are_kept(kept, project, redis):
    for turn in range(MAX_KEPT // MAX_WAITING_EACH + 2):
        for _ in range(MAX_WAITING_EACH + 5):
            kept.note(project, "DIALECT_XAIKU", "INVALID", turn)
        await kept.flush()
    assert await redis.llen(shard_keys(3).project("p").refused) == MAX_KEPT


async def test_who_watches_sees_each_once(kept, project, monkeypatch):
    monkeypatch.setattr(refused_requests, "_LOOK_SECONDS", 0.01)
    kept.note(project, "a", "INVALID", 1)
    await kept.flush()
    watched = kept.events(project, 5)
    assert (await anext(watched)).events == 1
    coming = asyncio.ensure_future(anext(watched))
    kept.note(project, "a", "INVALID", 2)
    kept.note(project, "a", "INVALID", 3)
    await kept.flush()
    assert (await coming).events == 2
    assert (await anext(watched)).events == 3
