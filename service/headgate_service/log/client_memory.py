"""Bounds what clients make Redis remember, over all projects."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.exceptions import ResponseError

from headgate_service.errors import RedisUnavailable
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

SECONDS = 10.0

_FORGET = Script("forget", __package__)
_log = structlog.get_logger(__name__)


class Share(NamedTuple):
    """What one project takes, in bytes."""

    size: int
    shard: int
    project_id: str


class ClientMemoryMetrics:
    """What the ids and keys of clients take, and whether it was too much."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.size = Gauge(
            "headgate_remembered_bytes",
            "Bytes of Redis's memory that the event ids and idempotency keys of all projects take.",
            registry=registry,
        )
        self.forgotten = Counter(
            "headgate_forgotten_bytes",
            "Bytes of event ids and idempotency keys that this service forgot before their 24 hours were over, because "
            "all projects took more than limits.remembered_total_bytes.",
            registry=registry,
        )


class ClientMemory:
    """The event ids and idempotency keys that Redis remembers of clients: `bound` bytes of all projects.

    Over it, the projects that take the most forget their oldest. Each project has a bound of its own, in `append.lua`.
    Any number of services may look at once.
    """

    def __init__(self, redis: RedisPipeline, bound: int, registry: CollectorRegistry) -> None:
        self._redis = redis
        self._bound = bound
        self._metrics = ClientMemoryMetrics(registry)

    async def run(self) -> None:
        """Looks every 10 seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except (RedisUnavailable, ResponseError) as error:
                _log.warning("the memory of clients' ids and keys is not looked at", error=str(error))
            await asyncio.sleep(SECONDS)

    async def look(self) -> None:
        """Forgets what is too much. Raises RedisUnavailable, ResponseError."""
        shares = await self._shares()
        total = sum(share.size for share in shares)
        level = level_of([share.size for share in shares], self._bound)
        for share in shares:
            if share.size > level:
                left = await self._forget(share, level)
                total -= share.size - left
                self._metrics.forgotten.inc(share.size - left)
        self._metrics.size.set(total)

    async def _shares(self) -> list[Share]:
        """What each project takes, the largest first."""
        shards = range(SHARDS)
        sets = await asyncio.gather(
            *(self._redis.execute("ZRANGE", shard_keys(shard).remembered, 0, -1, "WITHSCORES") for shard in shards)
        )
        return largest_first(sets)

    async def _forget(self, share: Share, level: int) -> int:
        shard = shard_keys(share.shard)
        keys = shard.project(share.project_id)
        names = [keys.remembered, shard.remembered, *keys.dedup, *keys.records]
        return int(await _FORGET.run(self._redis, names, share.project_id, level))


def largest_first(sets: Sequence[Sequence[bytes]]) -> list[Share]:
    """The shares of all projects, from each shard's sorted set of them with its scores."""
    return sorted(
        (
            Share(int(size), shard, project_id.decode())
            for shard, found in enumerate(sets)
            for project_id, size in zip(found[::2], found[1::2], strict=True)
        ),
        reverse=True,
    )


def level_of(sizes: list[int], bound: int) -> int:
    """What each may have at most, so that all together have the bound. `sizes` come the largest first."""
    left = bound
    for number, size in enumerate(reversed(sizes)):
        share = left // (len(sizes) - number)
        if size > share:
            return share
        left -= size
    return bound
