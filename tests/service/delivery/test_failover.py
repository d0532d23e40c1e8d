"""A failover of Redis to a replica that lagged, with a forwarder that runs on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_service.delivery.books import Books, Ledger
from headgate_service.errors import LogUnavailable
from headgate_service.log.append import Append, LogProject
from headgate_service.log.entry import encode
from headgate_service.redis.keys import shard_keys

from tests.service.delivery.conftest import Producer, Rig, Target, shard_of
from tests.service.redis.pair import Pair, running

KEYS = shard_keys(shard_of("a"))


class World:
    """A pair of servers, a service that appends, and the rig of a forwarder. `sent` are the names of events."""

    def __init__(self, pair: Pair, rig: Rig, producer: Producer, target: Target) -> None:
        self.pair, self.rig, self.producer, self.target = pair, rig, producer, target
        self.sent: list[str] = []

    async def append(self, count: int) -> None:
        names = [f"e{len(self.sent) + number}" for number in range(count)]
        chunks = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=name) for name in names])
        async with asyncio.timeout(30):
            while True:
                try:
                    where = LogProject("a", shard_of("a"), None)
                    await self.producer.appender.append(where, Append(chunks, {}))
                except LogUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    self.sent += names
                    return

    async def delivered(self, names: list[str]) -> None:
        await self.rig.eventually(lambda: self.target.taken["a"] == names, f"{self.target.taken['a']} to be {names}")

    async def part(self) -> None:
        """From now on the replica lags."""
        await asyncio.to_thread(self.pair.follow, self.pair.second, self.pair.first)
        await asyncio.to_thread(self.pair.promote, self.pair.second)

    async def fail_over(self) -> None:
        self.pair.address.target = self.pair.second.port
        await asyncio.to_thread(self.pair.first.kill)

    async def books(self) -> Books:
        (book,) = await Ledger(self.producer.pipeline, entries_at_once=7).books(KEYS, "a", ["hook"])
        return book

    async def balanced(self, delivered: int, dead: int) -> None:
        async def so() -> bool:
            book = await self.books()
            return (book.delivered, book.dead, book.pending, book.difference) == (delivered, dead, 0, 0)

        await self.rig.eventually(so, "balanced books")


@pytest.fixture
async def world(short_dir: Path, tmp_path: Path, target: Target, epochs) -> AsyncIterator[World]:
    async with running(short_dir) as pair:
        pair.put_epochs()
        producer = Producer(pair.address.url, epochs)
        producer.pipeline.greet(producer.appender.acknowledged.compare)
        yield World(pair, Rig(pair.address.url, tmp_path, target), producer, target)
        await producer.close()


@pytest.mark.parametrize("kind", ["quick", "after the lease"])
async def test_what_was_delivered_is_not_sent_again(world, kind):
    async with world.rig.forwarding(world.rig.config(world.rig.webhook(max_events=4))):
        await world.append(10)
        await world.delivered(world.sent)
        await world.part()
        for _ in range(3):
            await world.append(5)
            await world.delivered(world.sent)
        await world.balanced(25, 0)
        if kind == "quick":
            await world.fail_over()
        else:
            await asyncio.to_thread(world.pair.first.kill)
            await asyncio.sleep(3)
            world.pair.address.target = world.pair.second.port
        await world.append(3)
        await world.delivered(world.sent)
        await world.balanced(28, 0)
    world.target.assert_resends_are_identical()


async def test_what_is_lost_is_dead_and_the_rest_goes_on(world):
    async with world.rig.forwarding(world.rig.config(world.rig.webhook(max_events=4))):
        await world.append(10)
        await world.delivered(world.sent)
        await world.part()
        world.target.refuse = lambda request, body: web.Response(status=503)
        await world.append(6)
        kept = world.sent[:10]
        await world.fail_over()
        world.producer.pipeline.execute("PING")
        # A promise that was written and not settled is known by the lane that wrote it, and by nobody else.
        await asyncio.sleep(0.5)
        world.target.refuse = lambda request, body: None
        await world.append(3)
        await world.rig.eventually(lambda: world.target.taken["a"][-3:] == world.sent[-3:], "what came after")
        assert world.target.taken["a"] == kept + world.sent[-3:]
        await world.balanced(13, 6)
        letters = [fields for _, fields in world.pair.second.client.xrange(KEYS.project("a").dead)]
    assert [(one[b"code"], one[b"lo"], one[b"hi"]) for one in letters] == [(b"log_lost", b"10", b"16")]
    assert b"Redis lost them" in letters[0][b"message"]


async def test_a_loss_is_found_without_a_further_event(world):
    async with world.rig.forwarding(world.rig.config(world.rig.webhook(max_events=4))):
        await world.append(2)
        await world.delivered(world.sent)
        await world.part()
        world.target.refuse = lambda request, body: web.Response(status=503)
        await world.append(3)
        await world.fail_over()

        async def connected() -> bool:
            try:
                return await world.producer.pipeline.execute("PING") == b"PONG"
            except Exception:  # noqa: BLE001
                return False

        await world.rig.eventually(connected, "a connection")
        await world.balanced(2, 3)
