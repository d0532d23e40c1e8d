"""How many queries of a project run at once: over all services in Redis, and in this process where Redis is away."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import ResponseError

from headgate_service.errors import RedisUnavailable, TooManyQueries
from headgate_service.redis.keys import running_queries
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

MAX_AT_ONCE = 5
# Longer than a query may take: a service that was killed leaves its places for this long.
_BELIEVED_MS = 15_000

_log = structlog.get_logger(__name__)


class AtOnce:
    """Lets `most` queries of a project run. Without `redis` they are counted in this process alone."""

    def __init__(self, redis: RedisPipeline | None = None, most: int = MAX_AT_ONCE) -> None:
        self._redis = redis
        self._most = most
        self._running: Counter[str] = Counter()
        self._begin = Script("begin", __package__)

    @asynccontextmanager
    async def one(self, project_id: str) -> AsyncIterator[None]:
        """Raises TooManyQueries."""
        if self._running[project_id] >= self._most:
            raise self._too_many()
        self._running[project_id] += 1
        place = ""
        try:
            place = await self._take(project_id)
            yield
        finally:
            self._running[project_id] -= 1
            if not self._running[project_id]:
                del self._running[project_id]
            if place and self._redis:
                # Nobody waits for it: a lost one is given up by itself.
                self._redis.execute("ZREM", running_queries(project_id), place).add_done_callback(_heard)

    async def _take(self, project_id: str) -> str:
        """The id of a place over all services; empty where Redis cannot give one. Raises TooManyQueries."""
        if self._redis is None:
            return ""
        place = secrets.token_hex(8)
        try:
            key = running_queries(project_id)
            free = await self._begin.run(self._redis, [key], self._most, place, _BELIEVED_MS)
        except (RedisUnavailable, ResponseError) as error:
            # The store answers without Redis, and this process still counts its own.
            _log.warning("queries are counted in this process alone", error=str(error))
            return ""
        if not free:
            raise self._too_many()
        return place

    def _too_many(self) -> TooManyQueries:
        return TooManyQueries(f"{self._most} queries of this project run already: retry when one has ended")


def _heard(reply: "asyncio.Future[object]") -> None:
    if not reply.cancelled():
        reply.exception()
