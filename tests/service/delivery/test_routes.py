"""Routes and partial retries in a forwarder: what each sink gets, and how the books explain the rest."""

import json
from dataclasses import replace

import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_service.delivery.batch_reader import BatchReader, EventCache
from headgate_service.log.entry import encode
from headgate_service.log.position import BLOCK_EVENTS, count_set, filtered_bits, oldest, spans
from headgate_service.log.reader import Entry
from headgate_service.model.project_route import project_route
from headgate_service.model.receipt import Receipt
from headgate_service.model.route import Route
from headgate_service.redis.keys import shard_keys
from headgate_service.sink_control.receipt_lookup import ReceiptLookup
from headgate_sinks import Limits
from hypothesis import given
from hypothesis import strategies as st

# Of the events <project>/<number>, those whose number ends in 3 or 7.
SOME = 'event.name.endsWith("3") || event.name.endsWith("7")'


def cursors(project: str) -> str:
    return shard_keys(sum(project.encode()) % 64).project(project).cursors


def some(names: list[str]) -> list[str]:
    return [name for name in names if name[-1] in "37"]


def routed(sink, source: str):
    return replace(sink, route=Route(source))


async def test_a_sink_gets_what_its_route_takes_and_the_books_tell_the_rest(rig, producer, target, redis, balanced):
    for _ in range(4):
        await producer.append("a", 9)
    async with rig.forwarding(rig.config(rig.jsonl(), routed(rig.webhook(max_events=4), SOME))):
        for project in ("a", "b"):
            await producer.append(project, 31)
        await rig.eventually(lambda: target.taken["b"] == some(producer.sent["b"]), "those of b")
        await rig.eventually(lambda: target.taken["a"] == some(producer.sent["a"]), "those of a")
        await rig.eventually(lambda: rig.lines() == producer.sent, "all of them in the files")

        async def settled():
            return (await redis.hget(cursors("a"), "c:hook")).split()[1] == b"67"

        await rig.eventually(settled, "the cursor at the end")
        await balanced("jsonl", "hook")
    counts = await redis.hmget(cursors("a"), "delivered:hook", "filtered:hook", "dead:hook", "route_errors:hook")
    assert counts == [b"%d" % len(target.taken["a"]), b"%d" % (67 - len(target.taken["a"])), None, None]
    assert not await redis.exists(shard_keys(sum(b"a") % 64).project("a").filtered("jsonl", 0))


async def test_what_no_route_takes_moves_the_cursor_without_a_batch(rig, producer, target, redis, balanced):
    async with rig.forwarding(rig.config(routed(rig.webhook(), "false"))):
        await producer.append("a", 12)

        async def filtered():
            return await redis.hget(cursors("a"), "filtered:hook") == b"12"

        await rig.eventually(filtered, "all filtered")
        await balanced("hook")
    assert not target.bodies
    assert await redis.hget(shard_keys(sum(b"a") % 64).seals("hook"), "n") is None


async def test_what_a_route_cannot_tell_is_filtered_and_counted(rig, producer, target, redis, balanced):
    async with rig.forwarding(rig.config(routed(rig.webhook(), "properties.amount > 100.0"))):
        await producer.append("a", 5)

        async def counted():
            return await redis.hmget(cursors("a"), "filtered:hook", "route_errors:hook") == [b"5", b"5"]

        await rig.eventually(counted, "all counted")
        await balanced("hook")


async def test_a_sealed_batch_stays_as_it_is_when_the_route_changes(rig, producer, target, balanced):
    target.refuse = lambda request, body: web.Response(status=503)
    await producer.append("a", 20)
    async with rig.forwarding(rig.config(routed(rig.webhook(), SOME), drain=0.1)):
        await rig.eventually(lambda: target.bodies, "a first attempt")
    target.refuse = lambda request, body: None
    async with rig.forwarding(rig.config(routed(rig.webhook(), "true"))):
        await producer.append("a", 2)
        wanted = [*some(producer.sent["a"][:20]), "a/20", "a/21"]
        await rig.eventually(lambda: target.taken["a"] == wanted, "the old batch, then all that came later")
        await balanced("hook")
    target.assert_resends_are_identical()


async def test_a_batch_that_is_too_large_is_halved_by_what_the_route_took(rig, producer, target, redis, balanced):
    target.refuse = lambda request, body: (
        web.Response(status=413) if len(json.loads(body)["data"]["events"]) > 1 else None
    )
    await producer.append("a", 40)
    async with rig.forwarding(rig.config(routed(rig.webhook(), SOME))):
        await rig.eventually(lambda: target.taken["a"] == some(producer.sent["a"]), "one by one")
        await balanced("hook")
    assert await redis.hget(cursors("a"), "filtered:hook") == b"32"


async def test_a_backlog_that_expires_tells_the_filtered_from_the_dead(rig, producer, target, redis, balanced):
    target.refuse = lambda request, body: web.Response(status=503)
    sink = routed(rig.webhook(max_events=2), SOME)
    async with rig.forwarding(rig.config(sink, backlog_bytes=2000)):
        for _ in range(60):
            await producer.append("a", 1, padding=50)

        async def expired():
            return int(await redis.hget(cursors("a"), "dead:hook") or 0) > 3

        await rig.eventually(expired, "some to expire")
        await balanced("hook")
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken["a"] and target.taken["a"][-1] == "a/57", "what was kept")

        async def settled():
            return (await redis.hget(cursors("a"), "c:hook")).split()[1] == b"60"

        await rig.eventually(settled, "the end")
        await balanced("hook")
    dead, filtered = map(int, await redis.hmget(cursors("a"), "dead:hook", "filtered:hook"))
    assert (dead + len(target.taken["a"]), filtered) == (12, 48)
    assert target.taken["a"] == some(producer.sent["a"])[dead:]


async def test_receipts_tell_filtered_from_delivered(rig, producer, target, redis):
    await producer.append("a", 50)
    async with rig.forwarding(rig.config(rig.jsonl(), routed(rig.webhook(max_events=3), SOME))):
        await rig.eventually(lambda: target.taken["a"] == some(producer.sent["a"]), "delivery")

        async def settled():
            return await redis.hget(cursors("a"), "filtered:hook") == b"40"

        await rig.eventually(settled, "the counters")
    lookup = ReceiptLookup(producer.pipeline, lambda _: ["hook"], lambda _: None, lambda: 2)
    for before, last in ((0, 50), (3, 8), (2, 3), (49, 50)):
        receipt = Receipt("a", sum(b"a") % 64, 1, last - before, last - before, 0, 0, ((before, last),))
        (row,) = (await lookup.progress("", receipt)).sinks
        expected = len(some(producer.sent["a"][before:last]))
        assert (row.delivered, row.filtered) == (expected, last - before - expected)


@given(st.sets(st.integers(1, 3 * BLOCK_EVENTS), max_size=40), st.integers(0, BLOCK_EVENTS), st.integers(1, 3000))
def test_bits_are_found_where_they_were_put(ordinals, before, count):
    blocks: dict[int, bytearray] = {}
    for piece in filtered_bits(sorted(ordinals)):
        block = blocks.setdefault(piece.block, bytearray(BLOCK_EVENTS // 8))
        block[piece.offset : piece.offset + len(piece.bits)] = piece.bits
    found = sum(
        count_set(bytes(blocks.get(block, bytearray(BLOCK_EVENTS // 8))[first >> 3 : (last >> 3) + 1]), first, last)
        for block, first, last in spans(before, before + count)
    )
    assert found == sum(before < ordinal <= before + count for ordinal in ordinals)


class LongLog:
    """A project with many entries of one event, with a name of at least `size` characters."""

    def __init__(self, size: int = 0) -> None:
        self._size = size

    async def read(self, project_id: str, after: str, count: int) -> list[Entry]:
        start = int(after.partition("-")[0])
        return [self._entry(project_id, number) for number in range(start + 1, min(start + count, 20_000) + 1)]

    def _entry(self, project_id: str, number: int) -> Entry:
        (chunk,) = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=f"{number}".rjust(self._size))])
        return Entry(project_id, f"{number}-0", number, number, number * 10, frozenset(), chunk.payload)


async def test_a_projects_route_is_asked_of_few_large_events_before_others_have_their_turn():
    route = project_route('event.name.matches(".{30}b")')
    batch_reader = BatchReader(LongLog(size=16_000), Limits(events=500), EventCache(), route)
    builder = await batch_reader.gather({"prj_a": None}, {"prj_a": oldest(0, 0)})
    (log_range,) = builder.log_ranges
    assert builder.full
    assert 1 <= log_range.last <= 3


@pytest.mark.parametrize("source", ["false", 'event.name.endsWith("000")'])
async def test_a_batch_is_bounded_by_what_was_looked_at(source):
    batch_reader = BatchReader(LongLog(), Limits(events=500), EventCache(), Route(source))
    builder = await batch_reader.gather({"prj_a": None}, {"prj_a": oldest(0, 0)})
    (log_range,) = builder.log_ranges
    assert builder.full
    assert log_range.last == 5000
    assert len(log_range.events) == len(log_range.ordinals) == (5 if "000" in source else 0)
