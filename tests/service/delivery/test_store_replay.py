"""Replays from the store: what the log holds no more goes to a sink all the same, as it was."""

import itertools
import json

import pytest
from headgate.v1 import event_pb2
from headgate_service.directory.project import Project
from headgate_service.model.route import Route
from headgate_service.redis.keys import replay_sink, shard_keys
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.store_replays import StoreReplays
from headgate_service.store.client import Store
from headgate_service.store.history import History
from headgate_sinks.formats.event_json import event_json
from headgate_sinks.store.rows import COLUMNS, rows

from tests.service.delivery.conftest import shard_of

DAY_MS = 86_400_000
FIRST_MS = 1_767_225_600_000
NOW_MS = FIRST_MS + 400 * DAY_MS


def project(name: str) -> Project:
    return Project(name, name, name, "org", shard_of(name), None, None)


def event(name: str, number: int, ms: int, **fields: object) -> event_pb2.Event:
    made = event_pb2.Event(
        project_id=name, event_id=f"{name}-{number:05d}", name=f"{name}/{number}", sample_weight=1.0,
        dialect=number % 6, properties_json=b'{"n":%d}' % number, **fields,
    )  # fmt: skip
    made.receive_time.FromMilliseconds(ms)
    made.occur_time.FromNanoseconds(ms * 1_000_000 + number)
    return made


@pytest.fixture
async def fill(store):
    async def fill(events: list[event_pb2.Event]) -> None:
        shuffled = sorted(events, key=lambda one: one.event_id[::-1])
        await store.ask(f"INSERT INTO events ({', '.join(COLUMNS)}) FORMAT RowBinary", rows(shuffled))

    return fill


@pytest.fixture
async def client(store):
    client = Store(store.url)
    yield client
    await client.close()


@pytest.fixture
def replays(producer) -> Replays:
    numbers = itertools.count(1)
    return Replays(producer.pipeline, lambda: f"r{next(numbers)}")


@pytest.fixture
def from_store(client) -> StoreReplays:
    return StoreReplays(History(client), lambda: NOW_MS)


async def done(replays: Replays) -> bool:
    return all(view.stored.end for view in await replays.view())


def a_year() -> dict[str, list[event_pb2.Event]]:
    """Of two projects: single events far apart, and many that were received at once."""
    sparse = [event("a", n, FIRST_MS + n * 9 * DAY_MS + n) for n in range(40)]
    dense = [event("b", n, FIRST_MS + n // 900 * 50) for n in range(6300)]
    return {"a": sparse, "b": dense}


async def test_a_year_of_history_fills_a_new_sink_in_order_and_as_it_was(rig, fill, replays, from_store, store):
    history = a_year()
    await fill([*history["a"], *history["b"]])
    config = rig.config(rig.jsonl(), store_url=store.url)
    async with rig.forwarding(config):
        parts = await from_store.ranges([project("a"), project("b"), project("none")], 0, 1 << 52)
        assert [(part.project_id, part.last_seq) for _, part in parts] == [("a", 40), ("b", 6300)]
        await replays.start("jsonl", parts, 0, from_store=True)
        await rig.eventually(lambda: done(replays), "the end of the replay")
        (view,) = await replays.view()
        assert (view.selected, view.delivered, view.dead, view.pending) == (6340, 6340, 0, 0)
    wanted = {name: [one.name for one in events] for name, events in history.items()}
    assert rig.lines() == wanted
    lines = [
        json.loads(line)
        for path in sorted((rig.data_dir / "events").glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    for name, events in history.items():
        assert [line for line in lines if line["projectId"] == name] == [event_json(one) for one in events]


async def test_a_range_a_route_and_a_rate_hold_for_the_store_too(rig, fill, replays, from_store, store, target):
    await fill(a_year()["a"])
    config = rig.config(rig.webhook(), store_url=store.url)
    begin, end = FIRST_MS + 9 * DAY_MS, FIRST_MS + 300 * DAY_MS
    parts = await from_store.ranges([project("a")], begin, end)
    assert parts[0][1].last_seq == 33
    route = "event.name.endsWith('1') || event.name.endsWith('2')"
    assert await from_store.picked(parts, Route(route)) == (8, 33)
    async with rig.forwarding(config):
        await replays.start("hook", parts, 100, route, from_store=True)
        await rig.eventually(lambda: done(replays), "the end of the replay")
    (view,) = await replays.view()
    assert (view.selected, view.delivered, view.filtered) == (33, 8, 25)
    assert target.taken["a"] == [f"a/{n}" for n in (1, 2, 11, 12, 21, 22, 31, 32)]


async def test_a_forwarder_that_is_restarted_goes_on_where_it_was(rig, fill, replays, from_store, store, target):
    history = a_year()["b"]
    await fill(history)
    config = rig.config(rig.webhook(max_events=500), store_url=store.url)
    parts = await from_store.ranges([project("b")], 0, 1 << 52)
    await replays.start("hook", parts, 2000, from_store=True)

    async def moved(events: int) -> bool:
        return (await replays.view())[0].delivered >= events

    for events in (1, 1500, 3000):
        async with rig.forwarding(config):
            await rig.eventually(lambda: moved(events), "some of it")  # noqa: B023
    # What comes in of a time that was over changes nothing.
    await fill([event("b", 9999, FIRST_MS + 10 * DAY_MS)])
    async with rig.forwarding(config):
        await rig.eventually(lambda: done(replays), "the end of the replay")
    assert target.taken["b"] == [one.name for one in history]
    (view,) = await replays.view()
    assert (view.delivered, view.dead, view.pending) == (6300, 0, 0)


async def test_what_is_deleted_meanwhile_ends_the_replay_all_the_same(rig, fill, replays, from_store, store, target):
    await fill(a_year()["a"])
    parts = await from_store.ranges([project("a")], 0, 1 << 52)
    await store.ask("ALTER TABLE events DELETE WHERE event_id >= 'a-00030'", mutations_sync="2")
    await replays.start("hook", parts, 0, from_store=True)
    async with rig.forwarding(rig.config(rig.webhook(), store_url=store.url)):
        await rig.eventually(lambda: done(replays), "the end of the replay")
    (view,) = await replays.view()
    assert (view.delivered, view.dead, view.pending) == (30, 10, 0)


async def test_a_replay_from_the_store_keeps_nothing_in_the_log(rig, producer, fill, replays, from_store, store, redis):
    await fill(a_year()["a"])
    parts = await from_store.ranges([project("a")], 0, 1 << 52)
    await producer.append("a", 3)
    config = rig.config(rig.webhook(), store_url=store.url, keep_seconds=0.05)
    async with rig.forwarding(config):
        await replays.start("hook", parts, 1, from_store=True)

        async def trimmed() -> bool:
            return not await redis.xlen(shard_keys(shard_of("a")).project("a").log)

        await rig.eventually(trimmed, "the trimmed log")
        await replays.cancel("r1")
    cursors = await redis.hgetall(shard_keys(shard_of("a")).project("a").cursors)
    assert f"c:{replay_sink('r1')}".encode() in cursors
