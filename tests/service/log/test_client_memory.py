"""What clients make Redis remember of their event ids and idempotency keys, and how it is bounded."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from headgate.v1 import event_pb2
from headgate_service.log.append import Append, Appender, EpochNames, Idempotency, LogProject
from headgate_service.log.client_memory import ClientMemory
from headgate_service.log.entry import encode
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from prometheus_client import CollectorRegistry

A, B = LogProject("prj_a", 7, None), LogProject("prj_b", 9, None)
MIB = 1024 * 1024


class Client:
    """Sends events with ids, and requests with idempotency keys, each new."""

    def __init__(self, redis_url: str, epochs: EpochNames) -> None:
        self.pipeline = RedisPipeline(redis_url)
        self._epochs = epochs
        self.bound = 1 << 40

    async def status(self, project: LogProject, *, ids: range = range(0), key: str = "") -> str:
        events = [event_pb2.Event(name="e", event_id=f"id-{number}") for number in ids] or [event_pb2.Event(name="e")]
        chunks = encode(event_pb2.DIALECT_GRPC, events)
        idempotency = Idempotency(key.ljust(32, "k"), b"h" * 32) if key else None
        named = {place: event.event_id for place, event in enumerate(events) if event.event_id}
        appender = Appender(self.pipeline, lambda _: (), 1 << 40, lambda: datetime.now(UTC), self._epochs, self.bound)
        return (await appender.append(project, Append(chunks, named, idempotency))).status


@pytest.fixture
async def client(redis_url: str, epochs: EpochNames) -> AsyncIterator[Client]:
    client = Client(redis_url, epochs)
    yield client
    await client.pipeline.close()


async def used(redis, project: LogProject) -> int:
    """Bytes of Redis's memory for what is remembered of a project."""
    keys = project.keys
    return sum([await redis.memory_usage(key, samples=0) or 0 for key in (*keys.dedup, *keys.records)])


async def counted(redis, project: LogProject) -> int:
    return int(await redis.zscore(shard_keys(project.shard).remembered, project.id) or 0)


async def test_what_is_counted_is_what_redis_uses(client, redis):
    for first in range(0, 20_000, 1000):
        await client.status(A, ids=range(first, first + 1000))
    for number in range(2000):
        await client.status(B, key=f"k{number}")
    for project in (A, B):
        assert 0.9 < await counted(redis, project) / await used(redis, project) < 1.4


async def test_the_oldest_ids_of_a_project_are_forgotten_where_it_has_too_many(client, redis):
    client.bound = MIB
    for first in range(0, 40_000, 1000):
        assert await client.status(A, ids=range(first, first + 1000)) == "ok"
    assert MIB * 0.7 < await counted(redis, A) <= MIB
    assert await used(redis, A) < MIB * 1.1
    # Three quarters of the bound hold nine requests.
    assert await client.status(A, ids=range(31_000, 32_000)) == "duplicate"
    assert await client.status(A, ids=range(39_000, 40_000)) == "duplicate"
    assert await client.status(A, ids=range(1000)) == "ok"


async def test_the_oldest_keys_of_a_project_are_forgotten_where_it_has_too_many(client, redis):
    client.bound = MIB // 4
    for number in range(2000):
        await client.status(A, key=f"k{number}")
    assert await used(redis, A) < MIB * 0.3
    assert await client.status(A, key="k1999") == "replay"
    assert await client.status(A, key="k700") == "replay"
    assert await client.status(A, key="k0") == "ok"


async def test_one_project_forgets_nothing_of_another(client):
    client.bound = MIB // 4
    await client.status(B, ids=range(10), key="k")
    for first in range(0, 20_000, 1000):
        await client.status(A, ids=range(first, first + 1000))
    assert await client.status(B, ids=range(10)) == "duplicate"


async def test_all_projects_together_keep_to_the_total_and_the_largest_forget_first(client, redis):
    registry = CollectorRegistry()
    memory = ClientMemory(client.pipeline, MIB, registry)
    client.bound = 2 * MIB
    for first in range(0, 20_000, 1000):
        await client.status(A, ids=range(first, first + 1000))
    await client.status(B, ids=range(1000))
    await memory.look()
    assert await counted(redis, A) + await counted(redis, B) <= MIB
    assert registry.get_sample_value("headgate_remembered_bytes") <= MIB
    assert registry.get_sample_value("headgate_forgotten_bytes_total") > 0
    assert await client.status(B, ids=range(1000)) == "duplicate"
    assert await client.status(A, ids=range(19_000, 20_000)) == "duplicate"
    assert await client.status(A, ids=range(1000)) == "ok"


async def test_within_the_total_nothing_is_forgotten(client, redis):
    memory = ClientMemory(client.pipeline, MIB, CollectorRegistry())
    await client.status(A, ids=range(1000), key="k")
    await client.status(B, ids=range(1000))
    before = await used(redis, A)
    await memory.look()
    assert await used(redis, A) == before
    assert await client.status(A, ids=range(1000)) == "duplicate"


async def test_projects_that_remember_nothing_any_more_are_not_counted(client, redis):
    await client.status(A, ids=range(1000))
    keys = A.keys
    await redis.delete(keys.remembered, *keys.dedup)
    registry = CollectorRegistry()
    memory = ClientMemory(client.pipeline, 1000, registry)
    await memory.look()
    assert await redis.zcard(shard_keys(A.shard).remembered) == 0
    assert registry.get_sample_value("headgate_remembered_bytes") == 0
