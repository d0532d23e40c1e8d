"""A failover to a replica that lagged: what was acknowledged and is lost is said, and nothing else is touched."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from headgate.v1 import event_pb2
from headgate_service.delivery.books import Ledger
from headgate_service.errors import LogUnavailable
from headgate_service.log.append import Append, Appender, LogProject
from headgate_service.log.entry import encode
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from structlog.testing import capture_logs

from tests.conftest import HeldEpochs
from tests.service.redis.pair import Pair, running

SHARD = 3
KEYS = shard_keys(SHARD)


class Service:
    """Appends as a service does."""

    def __init__(self, url: str, wait_replicas: int = 0) -> None:
        self.pipeline = RedisPipeline(url, deadline=5)
        now = lambda: datetime.now(UTC)  # noqa: E731
        self.appender = Appender(self.pipeline, lambda _: (), 1 << 40, now, HeldEpochs(), wait_replicas=wait_replicas)
        self.pipeline.greet(self.appender.acknowledged.compare)
        self.lost = 0
        self.appender.acknowledged.on_lost = self.count

    def count(self, events: int) -> None:
        self.lost += events

    async def append(self, project: str, *names: str) -> tuple[int, int]:
        """The ordinals of the events, the first exclusive."""
        chunks = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=name) for name in names])
        async with asyncio.timeout(20):
            while True:
                try:
                    verdict = await self.appender.append(LogProject(project, SHARD, None), Append(chunks, {}))
                except LogUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    assert verdict.status == "ok"
                    return verdict.base, verdict.base + verdict.fresh


@pytest.fixture
async def pair(short_dir: Path) -> AsyncIterator[Pair]:
    async with running(short_dir) as pair:
        pair.put_epochs()
        await asyncio.to_thread(pair.follow, pair.second, pair.first)
        yield pair


@pytest.fixture
async def service(pair: Pair) -> AsyncIterator[Service]:
    service = Service(pair.address.url)
    yield service
    await service.pipeline.close()


async def fail_over(pair: Pair) -> None:
    """The replica takes over as it is."""
    pair.address.target = pair.second.port
    await asyncio.to_thread(pair.first.kill)


async def test_ordinals_of_lost_events_are_not_given_again(pair, service):
    assert await service.append("a", "1", "2") == (0, 2)
    assert await service.append("b", "1") == (0, 1)
    await asyncio.to_thread(pair.follow, pair.second, pair.first)
    await asyncio.to_thread(pair.promote, pair.second)
    assert await service.append("a", "3", "4", "5") == (2, 5)
    with capture_logs() as logs:
        await fail_over(pair)
        assert await service.append("a", "6") == (5, 6)
        assert await service.append("b", "2") == (1, 2)
    assert service.lost == 3
    (said,) = [one for one in logs if "LOST EVENTS" in one["event"]]
    assert (said["project"], said["events"], said["first"], said["last"]) == ("a", 3, 3, 5)
    use = {name.decode(): value for name, value in pair.second.client.hgetall(KEYS.project("a").use).items()}
    assert (use["seq"], use["lost"]) == (b"6", b"3")
    month = f"m{datetime.now(UTC):%Y%m}"
    assert use[month] == b"6"
    assert sum(int(value) for name, value in use.items() if name.endswith(":accepted")) == 6


async def test_each_service_says_what_it_acknowledged(pair, service):
    other = Service(pair.address.url)
    assert await service.append("a", "1") == (0, 1)
    await asyncio.to_thread(pair.follow, pair.second, pair.first)
    await asyncio.to_thread(pair.promote, pair.second)
    assert await service.append("a", "2") == (1, 2)
    assert await other.append("a", "3") == (2, 3)
    await fail_over(pair)
    # The other one has nothing to send, but a connection to make.
    first, second = await asyncio.gather(service.append("a", "4"), other.append("b", "1"))
    assert first[0] >= 3
    assert second == (0, 1)
    assert service.lost + other.lost == 2
    await other.pipeline.close()


async def test_nothing_is_said_where_nothing_is_lost(pair, service):
    assert await service.append("a", "1", "2") == (0, 2)
    await asyncio.to_thread(pair.follow, pair.second, pair.first)
    await asyncio.to_thread(pair.promote, pair.second)
    await fail_over(pair)
    assert await service.append("a", "3") == (2, 3)
    assert service.lost == 0
    assert not pair.second.client.hexists(KEYS.project("a").use, "lost")
    (book,) = await Ledger(service.pipeline, entries_at_once=7).books(KEYS, "a", ["hook"])
    assert book.accepted == 3


async def test_an_event_is_acknowledged_once_enough_replicas_have_it(pair):
    service = Service(pair.address.url, wait_replicas=1)
    for number in range(20):
        _, last = await service.append("a", "e")
        assert int(pair.second.client.hget(KEYS.project("a").use, "seq")) >= last, number
    await asyncio.to_thread(pair.promote, pair.second)
    chunks = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name="e")])
    with pytest.raises(LogUnavailable, match="0 of the 1 replicas"):
        await service.appender.append(LogProject("a", SHARD, None), Append(chunks, {}))
    await asyncio.to_thread(pair.follow, pair.second, pair.first)
    assert (await service.append("a", "e"))[1] >= 21
    await service.pipeline.close()
