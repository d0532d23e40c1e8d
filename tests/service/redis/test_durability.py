"""The service says so where its Redis may lose what was acknowledged."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis_async
from headgate_service.redis.durability import shortfalls, warn_of_shortfalls
from headgate_service.redis.pipeline import RedisPipeline
from structlog.testing import capture_logs

DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}


@pytest.fixture
async def settable(redis: redis_async.Redis) -> AsyncIterator[redis_async.Redis]:
    yield redis
    for name, value in DURABLE.items():
        await redis.config_set(name, value)


@pytest.fixture
async def limited_url(redis: redis_async.Redis, redis_url: str) -> AsyncIterator[str]:
    """Of a user who may not ask for settings."""
    await redis.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-config")
    yield redis_url.replace("unix://", "unix://limited:secret@")
    await redis.execute_command("ACL", "DELUSER", "limited")


async def said(url: str) -> list[tuple[str, str]]:
    pipeline = RedisPipeline(url)
    with capture_logs() as entries:
        await warn_of_shortfalls(pipeline, interval=0.01)
    await pipeline.close()
    return [(entry["log_level"], str(entry)) for entry in entries]


def test_nothing_is_wrong_with_a_durable_one_or_one_that_is_not_known():
    assert shortfalls(DURABLE) == []
    assert shortfalls({}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "volatile-lru"),
    ],
)
def test_each_setting_is_named_with_what_it_must_be(name, value):
    (shortfall,) = shortfalls({**DURABLE, name: value})
    assert shortfall.startswith(f"{name} is {value} and must be {DURABLE[name]}: ")


async def test_the_embedded_redis_is_beyond_reproach(redis_url):
    assert await said(redis_url) == []


async def test_a_redis_that_may_lose_events_is_an_error_for_each_reason(settable, redis_url):
    await settable.config_set("appendfsync", "everysec")
    await settable.config_set("no-appendfsync-on-rewrite", "yes")
    await settable.config_set("maxmemory-policy", "allkeys-lru")
    entries = await said(redis_url)
    assert [level for level, _ in entries] == ["error"] * 3
    assert "appendfsync is everysec" in entries[0][1]
    assert "no-appendfsync-on-rewrite is yes" in entries[1][1]
    assert "maxmemory-policy is allkeys-lru" in entries[2][1]


async def test_one_that_does_not_tell_is_a_warning(limited_url):
    ((level, text),) = await said(limited_url)
    assert level == "warning"
    assert "appendonly yes, appendfsync always, no-appendfsync-on-rewrite no, maxmemory-policy noeviction" in text
    assert "secret" not in text


async def test_the_service_asks_at_its_start(settable, redis_url, start_service):
    await settable.config_set("appendfsync", "no")
    with capture_logs() as entries:
        await start_service()
        while not any("appendfsync is no" in str(entry) for entry in entries):
            await asyncio.sleep(0.01)
