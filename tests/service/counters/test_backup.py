"""What is copied from Redis to the control DB, and what that costs and survives."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from headgate_service.control_db.models import ProjectRow
from headgate_service.delivery.lease import take
from headgate_service.delivery.settlement import ProjectSettlement, Settlement
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.ingest.refusal_ledger import RefusalLedger
from headgate_service.log.position import Position
from headgate_service.redis.keys import shard_keys
from sqlalchemy import update

HOUR_MS = 3_600_000
ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


async def copied(counters) -> dict:
    (page,) = [await counters.saved.page(range(64), "", 100, 0)]
    return {one.project_id: one for one in page}


async def shard_log(counters, shard: int) -> ShardLog:
    lease = await take(counters.pipeline, shard, shard_keys(shard), "me", 60_000)
    return ShardLog(counters.pipeline, lease)


async def test_counters_are_copied_as_they_are(counters, redis):
    await counters.append("a", 3, ids={0: "x"})
    await counters.append("a", 1, ids={0: "x"})
    await counters.append("b", 2)
    refusals = RefusalLedger(counters.pipeline, now, counters.epochs)
    refusals.count("b", counters.shard("b"), "RATE_LIMITED", 7)
    await refusals.flush()
    await counters.copying.copy()
    found = await copied(counters)
    assert {name: one.seq for name, one in found.items()} == {"a": 3, "b": 2}
    use = await redis.hgetall(counters.keys("a").use)
    assert found["a"].payload_bytes == int(use[b"bytes"]) > 0
    assert await counters.hours("a") == {"accepted": 3, "duplicate": 1}
    assert await counters.hours("b") == {"accepted": 2, "refused:RATE_LIMITED": 7}
    assert await counters.months("a") == [3]
    await counters.append("a", 4)
    await counters.copying.copy()
    assert await counters.months("a") == [7]
    assert (await counters.hours("a"))["accepted"] == 7


@ON_SQLITE
async def test_a_project_at_rest_costs_nothing(counters, redis):
    for number in range(20):
        await counters.append(f"p{number}", 1)
    for shard in range(64):
        await (await shard_log(counters, shard)).pop_ready()
    await counters.copying.copy()
    await redis.config_resetstat()
    await counters.copying.copy()
    assert counters.steps.count("read") == 1
    assert "cmdstat_hgetall" not in await redis.info("commandstats")

    await counters.append("p3", 1)
    await (await shard_log(counters, counters.shard("p3"))).pop_ready()
    await redis.config_resetstat()
    await counters.copying.copy()
    assert (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"] == 2
    assert (await copied(counters))["p3"].seq == 2


@ON_SQLITE
@pytest.mark.parametrize("how", ["settled", "duplicates", "refused", "popped meanwhile"])
async def test_whatever_changes_a_counter_has_it_copied_again(counters, redis, how):
    await counters.append("a", 2, ids={0: "x"})
    log = await shard_log(counters, counters.shard("a"))
    await log.pop_ready()
    await counters.copying.copy()
    match how:
        case "settled":
            done = ProjectSettlement("a", Position("5-1", 2, 20), delivered=2)
            await log.settle("hook", 0, Settlement(projects=[done]), 100)
        case "duplicates":
            await counters.append("a", 1, ids={0: "x"})
        case "refused":
            refusals = RefusalLedger(counters.pipeline, now, counters.epochs)
            refusals.count("a", log.shard, "INVALID", 3)
            await refusals.flush()
        case _:
            save = counters.saved.save

            async def and_more(counted):
                await save(counted)
                await counters.append("a", 1)
                await log.pop_ready()

            counters.saved.save = and_more
            await counters.append("a", 1)
            await log.pop_ready()
            await counters.copying.copy()
            counters.saved.save = save
    await counters.copying.copy()
    found = (await copied(counters))["a"]
    assert (found.seq, found.sinks) == (
        4 if how == "popped meanwhile" else 2,
        ({"c:hook": "5-1 2 20", "start:hook": "0", "delivered:hook": "2"} if how == "settled" else {}),
    )
    expected = {"accepted": found.seq}
    if how == "duplicates":
        expected["duplicate"] = 1
    if how == "refused":
        expected["refused:INVALID"] = 3
    assert await counters.hours("a") == expected


@ON_SQLITE
async def test_hours_that_are_over_move(counters, redis):
    await counters.append("a", 1)
    log = await shard_log(counters, counters.shard("a"))
    await log.pop_ready()
    use = counters.keys("a").use
    hour = await log.now_ms() // HOUR_MS
    await redis.hset(use, mapping={f"h:{hour - ago}:accepted": 10 * ago for ago in (2, 3, 9)} | {"m202001": 5})
    await counters.copying.copy()
    left = {field.decode() for field in await redis.hkeys(use)} - {"seq", "bytes"}
    assert {field for field in left if field[0] == "h"} == {f"h:{hour}:accepted", f"h:{hour - 2}:accepted"}
    assert "m202001" not in left
    assert await counters.hours("a") == {"accepted": 1 + 20 + 30 + 90}
    assert sorted(await counters.months("a")) == [1, 5]
    # At rest from now on, and yet looked at once more when the next hour is over.
    assert await redis.zscore(shard_keys(log.shard).changed, "a") == (hour + 1) * HOUR_MS


@ON_SQLITE
async def test_a_count_that_grew_since_it_was_read_stays(counters, redis):
    await counters.append("a", 1)
    use = counters.keys("a").use
    field = "h:1000:accepted"
    await redis.hset(use, field, 5)
    save = counters.saved.save

    async def and_more(counted):
        await save(counted)
        await redis.hincrby(use, field, 2)

    counters.saved.save = and_more
    await counters.copying.copy()
    assert await redis.hget(use, field) == b"7"
    counters.saved.save = save
    await counters.copying.copy()
    assert not await redis.hexists(use, field)
    assert (await counters.hours("a"))["accepted"] == 8


KILLED = """
import asyncio, os, signal, sys
from headgate_service.control_db.database import ControlDb
from headgate_service.counters.backup import Backup
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.saved import SavedCounters
from headgate_service.redis.pipeline import RedisPipeline

async def copy():
    redis, saved = RedisPipeline(sys.argv[1]), SavedCounters(ControlDb(sys.argv[2]))
    epochs = Epochs(redis, saved)
    await epochs.look()

    def kill(step):
        if step == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

    await Backup(redis, saved, epochs, lambda: 1, copy_seconds=1, on_step=kill).copy()

asyncio.run(copy())
"""


@pytest.mark.parametrize("step", ["read", "save"])
async def test_killed_between_copy_and_delete_nothing_is_lost_or_counted_twice(
    counters, redis, redis_url, control_url, step
):
    use = counters.keys("a").use
    await redis.hset(use, mapping={"h:1000:accepted": 5, "h:1000:duplicate": 2, "h:1001:refused:INVALID": 4})
    await counters.append("a", 3)
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, redis_url, control_url, step], check=False
    )
    assert child.returncode == -9
    assert await redis.hexists(use, "h:1000:accepted")
    assert bool(await counters.hours("a")) == (step == "save")
    await counters.append("a", 1)
    await counters.copying.copy()
    assert await counters.hours("a") == {"accepted": 9, "duplicate": 2, "refused:INVALID": 4}
    assert not await redis.hexists(use, "h:1000:accepted")
    await counters.copying.copy()
    assert await counters.hours("a") == {"accepted": 9, "duplicate": 2, "refused:INVALID": 4}


async def test_services_that_copy_at_once_count_nothing_twice(counters, new_counters, redis):
    others = [counters, *[await new_counters().start() for _ in range(2)]]
    for project in "abcdefgh":
        await redis.hset(counters.keys(project).use, "h:1000:accepted", 5)

    async def load() -> None:
        for _ in range(20):
            await asyncio.gather(*(counters.append(project, 2) for project in "abcdefgh"))

    async def copy(one) -> None:
        for _ in range(5):
            await one.copying.copy()

    await asyncio.gather(load(), *map(copy, others))
    await counters.copying.copy()
    for project in "abcdefgh":
        assert await counters.hours(project) == {"accepted": 45}
        assert await counters.months(project) == [40]


async def test_a_deleted_project_that_is_removed_is_no_loss(counters, redis, projects, control_db):
    row = (await projects.create_project("p")).project
    counters.places[row.id] = row.shard
    await counters.append(row.id, 3)
    await counters.copying.copy()
    async with control_db.change() as (session, change):
        await session.execute(update(ProjectRow).values(deleted_at=1, change=change))
    await redis.delete(counters.keys(row.id).use)
    await counters.copying.copy()
    assert await redis.exists(shard_keys(row.shard).epoch)
    await redis.flushall()
    await counters.epochs.look()
    await counters.putting_back.turn()
    assert not counters.epochs.missing
    assert await redis.keys("*prj*") == []
    assert sorted((await counters.saved.fields(row.id)).values()) == [3, 3]


@ON_SQLITE
async def test_one_service_at_a_time_copies(counters, new_counters, redis):
    other = await new_counters().start()
    await counters.append("a", 1)
    for one in (counters, other):
        one.copying._poll_seconds = 0.05
        one.copying._copy_seconds = 60
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.copying.run()) for one in (counters, other)]
        async with asyncio.timeout(10):
            while not await redis.exists("headgate:copied"):
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert [*counters.steps, *other.steps] == ["read", "save", "end"]
        for task in running:
            task.cancel()


def now() -> datetime:
    return datetime.now(UTC)
