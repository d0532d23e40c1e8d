"""Of which projects a trimmer looks at the log."""

import asyncio
import contextlib

from headgate_service.delivery.shard_log import Trimmed
from headgate_service.delivery.trimmer import Trimmer


class Log:
    """Says when a project is next to be looked at, and which were."""

    shard = 0

    def __init__(self) -> None:
        self.due_ms = dict.fromkeys("abc", 3_600_000)
        self.gone_bytes = dict.fromkeys("abc", 1000)
        self.looked: list[str] = []

    async def projects(self):
        return list(self.due_ms)

    async def trim(self, project_id, sinks, keep_ms, keep_bytes):
        self.looked.append(project_id)
        return Trimmed(0, self.due_ms[project_id], self.gone_bytes[project_id])


@contextlib.asynccontextmanager
async def trimming(log: Log, seconds: float = 60.0, keep_bytes: int = 500, keep_ms: int = 0):
    trimmer = Trimmer(log, lambda _: ["s"], seconds, keep_ms, lambda: keep_bytes, lambda step: None)
    running = asyncio.create_task(trimmer.run())
    yield trimmer
    trimmer.stop()
    await running


async def batches(trimmer: Trimmer, **settled: int) -> None:
    """As many as make it look."""
    for _ in range(16):
        trimmer.moved(settled)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_project_of_which_nothing_can_go_is_looked_at_once():
    log = Log()
    async with trimming(log) as trimmer:
        for size in (1100, 1200, 1500):
            await batches(trimmer, a=size)
        assert log.looked == ["a"]


async def test_one_that_is_held_by_a_sink_is_looked_at_each_time():
    log = Log()
    log.due_ms["a"] = -5
    async with trimming(log) as trimmer:
        for _ in range(3):
            await batches(trimmer, a=1100, b=1100)
        assert sorted(log.looked) == ["a", "a", "a", "b"]


async def test_one_that_may_have_too_much_is_looked_at():
    log = Log()
    async with trimming(log) as trimmer:
        await batches(trimmer, a=1100)
        await batches(trimmer, a=1501)
        assert log.looked == ["a", "a"]
        log.gone_bytes["a"] = 1400
        await batches(trimmer, a=1501)
        await batches(trimmer, a=1600)
        assert log.looked == ["a", "a", "a"]


async def test_every_so_often_all_that_are_due_are_looked_at():
    log = Log()
    log.due_ms["b"] = 0
    async with trimming(log, seconds=0.01), asyncio.timeout(10):
        while log.looked.count("b") < 3:
            await asyncio.sleep(0.005)
    assert (log.looked.count("a"), log.looked.count("c")) == (1, 1)


async def test_one_that_is_new_here_is_looked_at_when_something_may_be_too_old():
    log = Log()
    async with trimming(log, keep_ms=3_600_000, keep_bytes=1500) as trimmer:
        await batches(trimmer, a=1100, b=1600)
        assert log.looked == ["b"]
    log.looked.clear()
    async with trimming(log, seconds=0.01, keep_ms=3_600_000), asyncio.timeout(10):
        while len(log.looked) < 3:
            await asyncio.sleep(0.005)


async def test_a_step_is_a_part_of_what_is_kept():
    log = Log()
    log.due_ms["a"] = 0
    async with trimming(log, keep_ms=64_000, keep_bytes=10_000, seconds=0.01) as trimmer, asyncio.timeout(10):
        while not log.looked:
            await asyncio.sleep(0.005)
        await batches(trimmer, a=1100)
        assert log.looked.count("a") == 1
