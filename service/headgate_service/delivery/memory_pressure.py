"""Less of the settled log is kept where Redis's memory gets short, so that events go on being taken."""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog
from redis.exceptions import ResponseError

from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.shard import Shard
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.memory import memory_of
from headgate_service.redis.pipeline import RedisPipeline

# Of Redis's memory: from the first on less is kept, and at the second nothing.
FIRST, LAST = 0.80, 0.95
_SECONDS = 0.5

_log = structlog.get_logger(__name__)


def kept_at(ratio: float) -> float:
    """Which part of `log.keep_bytes` is kept where so much of the memory is taken."""
    return min(1.0, max(0.0, (LAST - ratio) / (LAST - FIRST)))


class MemoryPressure:
    """`kept` is which part of `log.keep_bytes`, or of Redis's memory where that is less, may be kept now. Where it is
    less than all, `shards` trim at once."""

    def __init__(self, redis: RedisPipeline, shards: Mapping[str, Shard], metrics: DeliveryMetrics) -> None:
        self._redis = redis
        self._shards = shards
        self.kept = 1.0
        self._bound = 0
        self._gauge = metrics.kept
        self._gauge.set(self.kept)

    def of(self, keep_bytes: int) -> int:
        """How many of so many bytes may be kept now."""
        return keep_bytes if self.kept >= 1.0 else int(min(keep_bytes, self._bound) * self.kept)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            # Where memory cannot be asked for, what is kept stays as it was.
            with contextlib.suppress(RedisUnavailable, ResponseError):
                await self.look()
            await asyncio.sleep(_SECONDS)

    async def look(self) -> None:
        """Raises RedisUnavailable, ResponseError."""
        memory = await memory_of(self._redis)
        kept = kept_at(memory.ratio)
        if kept < 1.0 <= self.kept:
            _log.warning(
                "Redis's memory gets short: fewer settled events are kept for replay",
                used=memory.used,
                max_memory=memory.bound,
            )
        elif self.kept < 1.0 <= kept:
            _log.info("Redis's memory suffices again", used=memory.used, max_memory=memory.bound)
        self.kept, self._bound = kept, memory.bound
        self._gauge.set(kept)
        if kept < 1.0:
            for shard in self._shards.values():
                shard.trim_soon()
