"""What a service does for the counters, beside counting."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from headgate_service.control_db.database import ControlDb
from headgate_service.counters.backup import Backup
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.restore import Restore
from headgate_service.counters.saved import SavedCounters
from headgate_service.redis.pipeline import RedisPipeline


class CounterMetrics:
    """What tells an operator how much an emptied Redis would give back, and whether one was emptied."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.age = Gauge(
            "headgate_counters_copy_age_seconds",
            "Seconds since the counters were last copied to the control DB, by whichever service did. What was counted "
            "since is what quotas and books would lose with Redis; over 30: look why it is not copied.",
            registry=registry,
        )
        self.missing = Gauge(
            "headgate_counters_missing_shards",
            "Shards, of 64, whose counters Redis does not hold. Not 0: their projects' events are answered 503 until "
            "they are put back.",
            registry=registry,
        )
        self.put_back = Counter(
            "headgate_counters_put_back_projects",
            "Projects whose counters this service restored into a Redis that had lost them.",
            registry=registry,
        )

    def show(self, copying: Backup, epochs: Epochs, now_ms: Callable[[], int]) -> None:
        """Shows those of a service. `now_ms` is milliseconds since 1970."""
        began_ms = now_ms()
        self.age.set_function(lambda: max(now_ms() - (copying.copied_ms or began_ms), 0) / 1000)
        self.missing.set_function(lambda: float(len(epochs.missing)))


class Keeper:
    """Copies counters to the control DB, and puts them back where Redis has lost them."""

    def __init__(
        self,
        redis: RedisPipeline,
        database: ControlDb,
        epochs: Epochs,
        sinks_of: Callable[[str], Sequence[str]],
        made_name: Callable[[], str],
        now_ms: Callable[[], int],
        copy_seconds: float,
        registry: CollectorRegistry,
    ) -> None:
        saved, metrics = SavedCounters(database), CounterMetrics(registry)
        self._putting_back = Restore(redis, saved, epochs, sinks_of, made_name, metrics.put_back.inc)
        self._copying = Backup(redis, saved, epochs, now_ms, copy_seconds=copy_seconds)
        metrics.show(self._copying, epochs, now_ms)

    async def prepare(self) -> None:
        """Puts back what is missing at the start, which is all of it at the first."""
        await self._putting_back.turn()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._putting_back.run(), name="putting-back")
            tasks.create_task(self._copying.run(), name="copying")

    async def finish(self) -> None:
        """Leaves nothing to be copied; nothing is counted any more by this service."""
        await self._copying.last()
