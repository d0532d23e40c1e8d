"""What the scripts let through: nobody but the holder of the lease, and nothing that was overtaken."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from headgate.v1 import log_pb2
from headgate_service.delivery.lease import Lease, take
from headgate_service.delivery.settlement import ProjectSettlement, Settlement
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.log.append import EpochNames
from headgate_service.log.position import Position
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Fenced, Stale

KEYS = shard_keys(7)
BATCH = log_pb2.SealedBatch(seal_time_ms=5).SerializeToString()


@pytest.fixture
async def pipeline(redis_url: str, epochs: EpochNames) -> AsyncIterator[RedisPipeline]:
    pipeline = RedisPipeline(redis_url)
    yield pipeline
    await pipeline.close()


async def held(pipeline: RedisPipeline, owner: str = "me", milliseconds: int = 60_000) -> Lease:
    lease = await take(pipeline, 7, KEYS, owner, milliseconds)
    assert lease is not None
    return lease


async def test_a_lease_is_held_by_one_owner_until_it_runs_out_or_is_given_up(pipeline, redis):
    first = await held(pipeline, "a")
    assert await take(pipeline, 7, KEYS, "b", 60_000) is None
    assert await first.renew(pipeline)
    await first.release(pipeline)
    second = await held(pipeline, "b", 30)
    assert not await first.renew(pipeline)
    while await redis.exists(KEYS.lease):
        await asyncio.sleep(0.01)
    third = await held(pipeline, "a")
    assert not await second.renew(pipeline)
    await second.release(pipeline)
    assert await third.renew(pipeline)
    assert len({first.token, second.token, third.token}) == 3


async def test_the_next_life_of_an_owner_takes_its_lease_at_once(pipeline):
    earlier = await held(pipeline)
    later = await held(pipeline)
    assert not await earlier.renew(pipeline)
    assert await later.renew(pipeline)


@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.pop_ready(),
        lambda log: log.seal("hook", 0, BATCH),
        lambda log: log.settle("hook", 0, Settlement(), 10),
        lambda log: log.trim("prj", [], 0, 0),
    ],
)
async def test_every_script_stops_a_former_holder(pipeline, redis, call):
    log = ShardLog(pipeline, await held(pipeline))
    await call(log)
    await held(pipeline)
    before = await redis.hgetall(KEYS.seals("hook"))
    with pytest.raises(Fenced):
        await call(log)
    assert await redis.hgetall(KEYS.seals("hook")) == before


async def test_a_call_that_comes_late_changes_nothing(pipeline):
    log = ShardLog(pipeline, await held(pipeline))
    number, version = await log.seal("hook", 0, BATCH)
    assert version == 1
    with pytest.raises(Stale):
        await log.seal("hook", 0, BATCH)
    settlement = Settlement([number], projects=[ProjectSettlement("prj", Position("5-0", 3, 9), 3)])
    version, *_ = await log.settle("hook", version, settlement, 10)
    with pytest.raises(Stale):
        await log.settle("hook", version, settlement, 10)
    assert (await log.seals("hook")).batches == {}
    assert await log.positions(["prj"], "hook") == [Position("5-0", 3, 9)]
    expired = Settlement(projects=[ProjectSettlement("prj", Position("6-0", 5, 11), 0, 2)])
    version, *_ = await log.settle("hook", version, expired, 10)
    with pytest.raises(Stale):
        await log.settle("hook", version - 1, expired, 10)
    later, _ = await log.seal("hook", version, BATCH)
    assert later > number


async def test_replacements_take_new_numbers_in_order(pipeline):
    log = ShardLog(pipeline, await held(pipeline))
    number, version = await log.seal("hook", 0, BATCH)
    first, second = (log_pb2.SealedBatch(seal_time_ms=ms) for ms in (6, 7))
    blobs = [first.SerializeToString(), second.SerializeToString()]
    version, numbers, _ = await log.settle("hook", version, Settlement([number], blobs), 10)
    assert number < numbers[0] < numbers[1]
    seals = await log.seals("hook")
    assert (seals.version, dict(seals.batches)) == (version, dict(zip(numbers, [first, second], strict=True)))


async def test_numbers_rise_with_the_clock_and_without_it(pipeline, redis):
    log = ShardLog(pipeline, await held(pipeline))
    now_ms = await log.now_ms()
    number, version = await log.seal("hook", 0, BATCH)
    assert now_ms <= number < now_ms + 60_000
    ahead = number + 3_600_000
    await redis.hset(KEYS.seals("hook"), "n", ahead)
    assert await log.seal("hook", version, BATCH) == (ahead + 1, version + 1)


async def test_a_shard_whose_counters_were_lost_is_nobodys_until_they_are_put_back(pipeline, redis):
    assert (await held(pipeline)).epoch == "e90c4"
    await redis.flushall()
    assert await take(pipeline, 7, KEYS, "me", 60_000) is None
    await redis.set(KEYS.epoch, "other")
    assert (await held(pipeline)).epoch == "other"
