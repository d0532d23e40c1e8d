"""Counts of refused events, written to the ledger once a second: a refusal itself writes nothing."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog
from redis.exceptions import ResponseError

from headgate_service.log.names import shard_keys
from headgate_service.log.redis_pipeline import RedisPipeline, RedisUnavailable

_log = structlog.get_logger()


class _Row(NamedTuple):
    shard: int
    project_id: str
    hour: int
    reason: str


class RefusalLedger:
    """Adds refusals to the project's hourly ledger, where accepted and duplicate events are counted too.

    What could not be written is kept and written later; a process that dies loses at most what it counted since the
    last flush: the refused side may lag, the accepted side is exact.
    """

    def __init__(self, redis: RedisPipeline, now: Callable[[], datetime]) -> None:
        self._redis = redis
        self._now = now
        self._counts: Counter[_Row] = Counter()

    def count(self, project_id: str, shard: int, reason: str, events: int) -> None:
        self._counts[_Row(shard, project_id, int(self._now().timestamp()) // 3600, reason)] += events

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
        replies = [
            (row, events, self._redis.execute("HINCRBY", _key(row), f"h:{row.hour}:refused:{row.reason}", events))
            for row, events in counts.items()
        ]
        for row, events, reply in replies:
            try:
                await reply
            except (RedisUnavailable, ResponseError) as error:
                self._counts[row] += events
                _log.warning("refusals not yet counted", project=row.project_id, error=str(error))


def _key(row: _Row) -> str:
    return shard_keys(row.shard).project(row.project_id).use
