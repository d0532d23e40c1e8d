import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis.asyncio as redis_async
from headgate.v1 import event_pb2
from headgate_service.directory.project import Project
from headgate_service.errors import LogUnreachable
from headgate_service.log.entry import encode
from headgate_service.log.tail import LogTail
from headgate_service.redis.keys import shard_keys


class Writer:
    """Puts entries into projects' logs, with the counts that the log keeps."""

    def __init__(self, redis: redis_async.Redis) -> None:
        self._redis = redis
        self._seq: dict[str, int] = {}

    async def write(self, project: Project, names: Sequence[str], skips: Sequence[int] = ()) -> None:
        [chunk] = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=name) for name in names])
        seq = self._seq.get(project.id, 0) + len(names) - len(skips)
        self._seq[project.id] = seq
        meta = f"{seq} {seq * 100} {','.join(map(str, skips))}"
        await self._redis.xadd(shard_keys(project.shard).project(project.id).log, {"m": meta, "b": chunk.payload})


def project(name: str, shard: int) -> Project:
    return Project(f"prj_{name}", name, name, "org_1", shard, None, None)


ONE, TWO, THREE = project("one", 0), project("two", 63), project("three", 7)


async def take(events: AsyncIterator[event_pb2.Event], count: int) -> list[str]:
    async with asyncio.timeout(10):
        return [(await anext(events)).name for _ in range(count)]


async def nothing_comes(events: AsyncIterator[event_pb2.Event]) -> bool:
    coming = asyncio.ensure_future(anext(events))
    done, _ = await asyncio.wait({coming}, timeout=0.3)
    coming.cancel()
    return not done


@pytest.fixture
def writer(redis: redis_async.Redis) -> Writer:
    return Writer(redis)


@pytest.fixture
def tail(redis: redis_async.Redis) -> LogTail:
    return LogTail(redis, block_ms=50)


async def test_events_come_as_they_are_written_from_projects_with_a_log_and_without(
    tail: LogTail, writer: Writer
) -> None:
    await writer.write(ONE, ["before"])
    events = tail.events(lambda: [ONE, TWO], 0)
    coming = asyncio.create_task(take(events, 1))
    await asyncio.sleep(0.2)
    await writer.write(TWO, ["two-1"])
    assert await coming == ["two-1"]
    await writer.write(ONE, ["one-1", "one-2"])
    assert await take(events, 2) == ["one-1", "one-2"]


async def test_the_latest_events_and_no_more(tail: LogTail, writer: Writer) -> None:
    for number in range(40):
        await writer.write(ONE, [f"one-{number}a", f"one-{number}b"])
    await writer.write(TWO, ["two-1"])
    found = tail.latest([ONE, TWO, THREE], 3)
    # Where the reading begins decides; what comes later is not waited for and not shown.
    first = (await anext(found)).name
    await writer.write(ONE, ["one-late"])
    assert [first, *[event.name async for event in found]] == ["one-38b", "one-39a", "one-39b", "two-1"]
    assert [event.name async for event in tail.latest([ONE, TWO], 0)] == []
    assert len([event async for event in tail.latest([ONE], 1000)]) == 81


async def test_an_event_is_complete(tail: LogTail, writer: Writer) -> None:
    await writer.write(ONE, ["a"])
    event = await anext(tail.events(lambda: [ONE], 1))
    assert (event.project_id, event.dialect, event.sample_weight) == (ONE.id, event_pb2.DIALECT_GRPC, 1.0)
    assert event.event_id
    assert event.receive_time.seconds > 0


@pytest.mark.parametrize("last", [1, 2, 3, 4, 5, 100])
async def test_the_latest_come_first_and_then_the_new_ones(tail: LogTail, writer: Writer, last: int) -> None:
    await writer.write(ONE, ["a", "b"])
    await writer.write(ONE, ["c", "again", "d"], skips=[1])
    await writer.write(ONE, ["e"])
    events = tail.events(lambda: [ONE], last)
    expected = ["a", "b", "c", "d", "e"][-last:]
    assert await take(events, len(expected)) == expected
    await writer.write(ONE, ["f"])
    assert await take(events, 1) == ["f"]


async def test_the_latest_of_a_long_log(tail: LogTail, writer: Writer) -> None:
    for number in range(100):
        await writer.write(ONE, [f"e{number}"])
    assert await take(tail.events(lambda: [ONE], 90), 90) == [f"e{number}" for number in range(10, 100)]


async def test_the_latest_of_each_project(tail: LogTail, writer: Writer) -> None:
    await writer.write(ONE, ["a", "b"])
    await writer.write(TWO, ["x", "y"])
    assert sorted(await take(tail.events(lambda: [ONE, TWO, THREE], 1), 2)) == ["b", "y"]


async def test_a_new_project_joins_with_all_its_events(tail: LogTail, writer: Writer) -> None:
    known: list[Project] = []
    events = tail.events(lambda: tuple(known), 0)
    coming = asyncio.create_task(take(events, 2))
    await asyncio.sleep(0.1)
    await writer.write(THREE, ["first", "second"])
    known.append(THREE)
    assert await coming == ["first", "second"]


async def test_others_are_not_shown(tail: LogTail, writer: Writer) -> None:
    await writer.write(TWO, ["hidden"])
    assert await nothing_comes(tail.events(lambda: [ONE], 10))


async def test_a_damaged_entry_is_passed_over(tail: LogTail, writer: Writer, redis: redis_async.Redis) -> None:
    await writer.write(ONE, ["a"])
    await redis.xadd(shard_keys(ONE.shard).project(ONE.id).log, {"m": "2 200 ", "b": b"\x09?"})
    writer._seq[ONE.id] = 2
    await writer.write(ONE, ["c"])
    assert await take(tail.events(lambda: [ONE], 3), 2) == ["a", "c"]


async def test_a_redis_that_is_gone_is_said() -> None:
    client = redis_async.Redis.from_url("unix:///nowhere/redis.sock")
    with pytest.raises(LogUnreachable):
        await anext(LogTail(client).events(lambda: [ONE], 0))
    await client.aclose()
