"""Counters of a real Redis, copied to a control DB of both kinds and put back."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

import pytest
from headgate.v1 import event_pb2
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import HourRow, MonthRow
from headgate_service.counters.backup import Backup
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.restore import Restore
from headgate_service.counters.saved import SavedCounters
from headgate_service.delivery.books import Books, Ledger
from headgate_service.log.append import Append, Appender, LogProject, Verdict
from headgate_service.log.entry import encode
from headgate_service.redis.keys import SHARDS, ProjectKeys, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from sqlalchemy import select


class Counters:
    """One service's hold on the counters. `sinks` are those of every project."""

    def __init__(self, redis_url: str, database: ControlDb, sinks: tuple[str, ...] = ()) -> None:
        self.pipeline = RedisPipeline(redis_url)
        self.database = database
        self.saved = SavedCounters(database)
        self.epochs = Epochs(self.pipeline, self.saved)
        self.sinks = sinks
        self.places: dict[str, int] = {}
        numbers = itertools.count(id(self))
        self.putting_back = Restore(
            self.pipeline, self.saved, self.epochs, lambda _: self.sinks, lambda: f"{next(numbers):x}"
        )
        self.steps: list[str] = []
        self.copying = Backup(
            self.pipeline, self.saved, self.epochs, lambda: 1, copy_seconds=1, on_step=self.steps.append
        )
        self.appender = Appender(self.pipeline, lambda _: (), 1 << 40, lambda: datetime.now(UTC), self.epochs)

    async def start(self) -> "Counters":
        await self.epochs.look()
        await self.putting_back.turn()
        assert not self.epochs.missing
        return self

    async def append(self, project: str, count: int, limit: int | None = None, ids: Mapping[int, str] = {}) -> Verdict:
        events = [event_pb2.Event(name="e", event_id=ids.get(place, "")) for place in range(count)]
        request = Append(encode(event_pb2.DIALECT_GRPC, events), ids)
        return await self.appender.append(LogProject(project, self.shard(project), limit), request)

    async def hours(self, project: str) -> dict[str, int]:
        """What the control DB counts of a project, by outcome, over all hours."""
        async with self.database.read() as session:
            found: dict[str, int] = {}
            for row in await session.scalars(select(HourRow).where(HourRow.project_id == project)):
                found[row.outcome] = found.get(row.outcome, 0) + row.events
            return found

    async def months(self, project: str) -> list[int]:
        async with self.database.read() as session:
            return list(await session.scalars(select(MonthRow.events).where(MonthRow.project_id == project)))

    def shard(self, project: str) -> int:
        return self.places.get(project, sum(project.encode()) % SHARDS)

    def keys(self, project: str) -> ProjectKeys:
        return shard_keys(self.shard(project)).project(project)

    async def books(self, project: str) -> list[Books]:
        return await Ledger(self.pipeline).books(shard_keys(self.shard(project)), project, self.sinks)


@pytest.fixture
async def new_counters(
    redis_url: str, control_db: ControlDb, control_url: str
) -> AsyncIterator[Callable[..., Counters]]:
    """Makes services' holds on the same counters."""
    made: list[Counters] = []

    def new(*sinks: str) -> Counters:
        made.append(Counters(redis_url, ControlDb(control_url), sinks))
        return made[-1]

    yield new
    for one in made:
        await one.pipeline.close()
        await one.database.close()


@pytest.fixture
async def counters(new_counters: Callable[..., Counters]) -> Counters:
    return await new_counters("hook", "file").start()
