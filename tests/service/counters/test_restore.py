"""A Redis that was emptied takes nothing until its counters are back, and then goes on from them."""

import asyncio

import pytest
from headgate_service.counters.epochs import Epochs
from headgate_service.errors import ControlDbUnavailable, CountersLost
from headgate_service.redis.keys import SHARDS, shard_keys

ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


async def names(counters) -> list[bytes]:
    return await asyncio.gather(*(counters.pipeline.execute("GET", shard_keys(n).epoch) for n in range(SHARDS)))


async def lost(counters) -> bool:
    await counters.epochs.look()
    return bool(counters.epochs.missing)


async def test_the_first_start_names_every_shard_and_loses_nothing(counters):
    assert None not in await names(counters)
    assert {counters.epochs.lost_ms(shard) for shard in range(SHARDS)} == {None}
    assert (await counters.append("a", 1)).status == "ok"


@ON_SQLITE
async def test_data_from_before_there_were_names_is_kept(counters, redis, control_db):
    await counters.append("a", 3)
    for shard in range(SHARDS):
        await redis.delete(shard_keys(shard).epoch)
    with pytest.raises(CountersLost):
        await counters.append("a", 1)
    await counters.putting_back.turn()
    verdict = await counters.append("a", 1)
    assert (verdict.base, verdict.month_used) == (3, 4)


@ON_SQLITE
async def test_what_is_ahead_of_the_copy_is_kept(counters, redis):
    await counters.append("a", 3)
    await counters.copying.copy()
    await counters.append("a", 2)
    await redis.delete(*(shard_keys(shard).epoch for shard in range(SHARDS)))
    await lost(counters)
    await counters.putting_back.turn()
    assert [(one.accepted, one.pending, one.dead) for one in await counters.books("a")] == [(5, 5, 0)] * 2
    verdict = await counters.append("a", 1)
    assert (verdict.base, verdict.month_used) == (5, 6)


async def test_the_quota_goes_on_from_the_last_copy(counters, redis):
    await counters.append("a", 3, limit=6)
    await counters.copying.copy()
    await counters.append("a", 1, limit=6)
    before = await names(counters)
    await redis.flushall()
    with pytest.raises(CountersLost):
        await counters.append("a", 1, limit=6)
    assert await redis.keys("*") == []
    assert counters.epochs.missing
    await counters.putting_back.turn()
    assert not counters.epochs.missing
    assert not set(before) & set(await names(counters))

    verdict = await counters.append("a", 2, limit=6)
    # The event between the copy and the loss is the one that may be had again.
    assert (verdict.status, verdict.base, verdict.month_used) == ("ok", 3, 5)
    assert (await counters.append("a", 2, limit=6)).status == "quota"
    await counters.copying.copy()
    assert await counters.months("a") == [5]
    assert await counters.hours("a") == {"accepted": 5}


@ON_SQLITE
async def test_the_books_say_what_was_lost(counters, redis):
    await counters.append("a", 10)
    keys = counters.keys("a")
    ids = [entry async for entry in entries(redis, keys.log)]
    await redis.hset(
        keys.cursors,
        mapping={"c:hook": f"{ids[0]} 6 60", "start:hook": 0, "delivered:hook": 4, "dead:hook": 1, "filtered:hook": 1},
    )
    await counters.copying.copy()
    assert [(one.sink, one.pending, one.difference) for one in await counters.books("a")] == [
        ("hook", 4, 0),
        ("file", 10, 0),
    ]
    await redis.flushall()
    await lost(counters)
    await counters.putting_back.turn()

    hook, file = await counters.books("a")
    assert (hook.accepted, hook.delivered, hook.filtered, hook.dead, hook.pending) == (10, 4, 1, 5, 0)
    assert (file.accepted, file.delivered, file.dead, file.pending) == (10, 0, 10, 0)
    assert hook.difference == file.difference == hook.backlog_bytes == 0
    letters = {letter[b"sink"]: letter for _, letter in await redis.xrange(keys.dead)}
    assert (letters[b"hook"][b"code"], letters[b"hook"][b"events"]) == (b"log_lost", b"4")
    assert [letters[b"hook"][field] for field in (b"lo", b"hi")] == [b"6", b"10"]
    assert letters[b"file"][b"events"] == b"10"

    await counters.append("a", 2)
    assert [(one.accepted, one.pending, one.difference) for one in await counters.books("a")] == [(12, 2, 0)] * 2
    # What was lost is in the next copy, so that a second loss does not tell it again.
    await counters.copying.copy()
    await redis.flushall()
    await lost(counters)
    await counters.putting_back.turn()
    assert [(one.accepted, one.dead, one.difference) for one in await counters.books("a")] == [(12, 7, 0), (12, 12, 0)]


async def entries(redis, log):
    for entry, _ in await redis.xrange(log):
        yield entry.decode()


async def test_services_that_put_back_at_once_agree(counters, new_counters, redis):
    for project in "abcdef":
        await counters.append(project, 5)
    await counters.copying.copy()
    await redis.flushall()
    others = [new_counters("hook", "file") for _ in range(3)]
    for one in (counters, *others):
        await one.epochs.look()
    async with asyncio.timeout(20):
        while any(one.epochs.missing for one in (counters, *others)):
            await asyncio.gather(*(one.putting_back.turn() for one in (counters, *others)))
            await asyncio.gather(*(one.epochs.look() for one in (counters, *others)))
    for project in "abcdef":
        verdicts = [await one.append(project, 1) for one in (counters, *others)]
        assert [verdict.base for verdict in verdicts] == [5, 6, 7, 8]
        assert [(one.dead, one.difference) for one in await counters.books(project)] == [(5, 0)] * 2


async def test_emptied_again_while_it_is_put_back(counters, redis, monkeypatch):
    monkeypatch.setattr("headgate_service.counters.restore.PAGE_PROJECTS", 1)
    for project in "ab":
        await counters.append(project, 5)
    await counters.copying.copy()
    await redis.flushall()
    await lost(counters)
    page = counters.saved.page

    async def flushed_after(shards, after, count, ms):
        found = await page(shards, after, count, ms)
        if after:
            await redis.flushall()
        return found

    counters.saved.page = flushed_after
    await counters.putting_back.turn()
    assert await lost(counters)
    counters.saved.page = page
    await counters.putting_back.turn()
    assert not await lost(counters)
    for project in "ab":
        assert (await counters.append(project, 1)).base == 5


async def test_a_redis_set_back_to_an_earlier_time_is_found_and_set_right(counters, new_counters, redis):
    await counters.append("a", 3, limit=20)
    dump = {key: await redis.dump(key) for key in await redis.keys("*")}
    await counters.append("a", 7, limit=20)
    keys = counters.keys("a")
    last = [entry async for entry in entries(redis, keys.log)][-1]
    await redis.hset(keys.cursors, mapping={"c:hook": f"{last} 10 100", "start:hook": 0, "delivered:hook": 10})
    await counters.copying.copy()
    await redis.flushall()
    for key, value in dump.items():
        await redis.restore(key, 0, value)

    # By a service that has not seen what is gone.
    counters = await new_counters(*counters.sinks).start()
    verdict = await counters.append("a", 1, limit=20)
    assert verdict.month_used == 4
    await counters.copying.copy()
    with pytest.raises(CountersLost):
        await counters.append("a", 1, limit=20)
    await counters.putting_back.turn()
    verdict = await counters.append("a", 1, limit=20)
    assert (verdict.base, verdict.month_used) == (10, 11)
    hook, file = await counters.books("a")
    assert (hook.delivered, hook.dead, hook.pending, hook.difference) == (10, 0, 1, 0)
    # What the earlier log still holds reaches who has not had it.
    assert (file.delivered, file.dead, file.pending) == (0, 0, 5)


@ON_SQLITE
async def test_another_redis_is_not_believed(counters, redis):
    await counters.append("a", 3)
    await counters.copying.copy()
    await redis.flushall()
    for shard in range(SHARDS):
        await redis.set(shard_keys(shard).epoch, "another")
    with pytest.raises(CountersLost):
        await counters.append("a", 1)
    await counters.epochs.look()
    await counters.putting_back.turn()
    assert (await counters.append("a", 1)).base == 3


@ON_SQLITE
async def test_one_shard_alone_may_be_lost(counters, redis):
    await counters.append("a", 3)
    await counters.append("b", 3)
    await counters.copying.copy()
    lost_shard = int(counters.keys("a").prefix[2:4])
    before = await names(counters)
    for key in await redis.keys(f"{{s{lost_shard:02d}}}:*"):
        await redis.delete(key)
    with pytest.raises(CountersLost):
        await counters.append("a", 1)
    assert (await counters.append("b", 1)).base == 3
    assert counters.epochs.missing == {lost_shard}
    await counters.putting_back.turn()
    assert (await counters.append("a", 1)).base == 3
    assert [n for n, name in enumerate(await names(counters)) if name != before[n]] == [lost_shard]


@ON_SQLITE
async def test_a_full_memory_hinders_neither_the_copy_nor_putting_back(counters, redis):
    await counters.append("a", 3)
    await redis.hset(counters.keys("a").use, "h:1000:accepted", 5)
    await redis.config_set("maxmemory", "1")
    try:
        await counters.copying.copy()
        assert await counters.hours("a") == {"accepted": 8}
        await redis.delete(*(shard_keys(shard).epoch for shard in range(SHARDS)))
        await redis.delete(counters.keys("a").use)
        await lost(counters)
        assert await counters.putting_back.turn()
        assert not counters.epochs.missing
        assert await redis.hget(counters.keys("a").use, "seq") == b"3"
    finally:
        await redis.config_set("maxmemory", "512mb")


@ON_SQLITE
async def test_without_the_control_db_nothing_is_put_back_and_nothing_taken(counters, redis, tmp_path):
    await counters.append("a", 3)
    await counters.copying.copy()
    await redis.flushall()
    await lost(counters)
    epochs = counters.saved.epochs

    async def down():
        raise ControlDbUnavailable("down")

    counters.saved.epochs = down
    assert not await counters.putting_back.turn()
    with pytest.raises(CountersLost):
        await counters.append("a", 1)
    counters.saved.epochs = epochs
    assert await counters.putting_back.turn()
    assert (await counters.append("a", 1)).base == 3


@ON_SQLITE
async def test_a_process_that_starts_while_counters_are_lost_knows(counters, redis):
    fresh = Epochs(counters.pipeline, counters.saved)
    assert fresh.missing == set(range(SHARDS))
    await fresh.look()
    assert not fresh.missing
    await redis.flushall()
    fresh = Epochs(counters.pipeline, counters.saved)
    await fresh.look()
    assert fresh.missing == set(range(SHARDS))
