"""What a service does for the counters, beside counting."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from headgate_service.control_db.database import ControlDb
from headgate_service.counters.copying import Copying
from headgate_service.counters.epochs import Epochs
from headgate_service.counters.metrics import CounterMetrics
from headgate_service.counters.putting_back import PuttingBack
from headgate_service.counters.saved_counters import SavedCounters
from headgate_service.log.redis_pipeline import RedisPipeline


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
        self._putting_back = PuttingBack(redis, saved, epochs, sinks_of, made_name, metrics.put_back.inc)
        self._copying = Copying(redis, saved, epochs, now_ms, copy_seconds=copy_seconds)
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
