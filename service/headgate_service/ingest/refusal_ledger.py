"""Counts of refused events, written to the ledger once a second: a refusal itself writes nothing."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog
from redis.exceptions import ResponseError

from headgate_service.errors import RedisUnavailable
from headgate_service.log.append import EpochNames
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

_REFUSED = Script("refused", "headgate_service.counters")
_log = structlog.get_logger()


class _NotCounted(Exception):
    """Redis has lost its counters, and they are not put back yet."""


class _Row(NamedTuple):
    shard: int
    project_id: str
    hour: int
    reason: str


class RefusalLedger:
    """Adds refusals to the project's hourly ledger, where accepted and duplicate events are counted too.

    What could not be written is kept and written later; a process that dies loses at most what it counted since the
    last flush: the refused side may lag, the accepted side is exact. Nothing is added to hours that are over.
    """

    def __init__(self, redis: RedisPipeline, now: Callable[[], datetime], epochs: EpochNames) -> None:
        self._redis = redis
        self._now = now
        self._epochs = epochs
        self._counts: Counter[_Row] = Counter()

    def count(self, project_id: str, shard: int, reason: str, events: int) -> None:
        self._counts[_Row(shard, project_id, self._hour(), reason)] += events

    async def run(self, interval: float = 1.0) -> None:
        """Flushes each `interval` seconds, and once more when it is cancelled."""
        try:
            while True:
                await asyncio.sleep(interval)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        counts, self._counts = self._counts, Counter()
        writes = [(row, events, asyncio.ensure_future(self._write(row, events))) for row, events in counts.items()]
        for row, events, write in writes:
            try:
                await write
            except (RedisUnavailable, ResponseError, _NotCounted) as error:
                self._counts[row] += events
                _log.warning("refusals not yet counted", project=row.project_id, error=str(error))

    async def _write(self, row: _Row, events: int) -> None:
        shard = shard_keys(row.shard)
        # An hour before the last one may have moved to the control DB by now.
        hour = max(row.hour, self._hour() - 1)
        counted = await _REFUSED.run(
            self._redis,
            [shard.epoch, shard.changed, shard.project(row.project_id).use],
            *(self._epochs.name(row.shard), row.project_id, f"h:{hour}:refused:{row.reason}", events),
        )
        if not counted:
            self._epochs.lost(row.shard)
            raise _NotCounted("the counters are not put back yet")

    def _hour(self) -> int:
        return int(self._now().timestamp()) // 3600
