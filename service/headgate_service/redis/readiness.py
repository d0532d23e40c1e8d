"""Whether Redis would take an event now."""

import contextlib

import structlog
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import ResponseError

from headgate_service.errors import RedisUnavailable
from headgate_service.redis.memory import memory_of
from headgate_service.redis.pipeline import RedisPipeline

# Never written to.
PROBE = "headgate:probe"

_log = structlog.get_logger(__name__)


class RedisMetrics:
    """What a service sees of Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.memory = Gauge(
            "headgate_redis_memory_ratio",
            "Part of Redis's maxmemory that is taken; 0 where it has none. At 1 events are answered 503.",
            registry=registry,
        )
        self.writable = Gauge(
            "headgate_redis_writable",
            "Whether Redis takes writes: 1, or 0 and events are answered 503.",
            registry=registry,
        )


class RedisReadiness:
    """Asks whether a write would succeed, and measures memory. It says so in the log when the answer changes."""

    def __init__(self, redis: RedisPipeline, registry: CollectorRegistry) -> None:
        self._redis = redis
        self._refusal = ""
        self._metrics = RedisMetrics(registry)

    async def ready(self) -> bool:
        """Never raises but when cancelled. A Redis that is full, read-only or away is not ready."""
        refusal = await self._ask()
        if refusal and not self._refusal:
            _log.error("Redis takes no writes: events are answered 503", reason=refusal)
        elif self._refusal and not refusal:
            _log.info("Redis takes writes again")
        self._refusal = refusal
        self._metrics.writable.set(0 if refusal else 1)
        return not refusal

    async def _ask(self) -> str:
        """Why a write would be refused; empty: it would not."""
        try:
            # Redis judges it as any command that adds something. It adds nothing, and so costs no fsync.
            await self._redis.execute("SETRANGE", PROBE, 0, "")
        except (RedisUnavailable, ResponseError) as error:
            refusal = str(error) or type(error).__name__
        else:
            refusal = ""
        # Some providers do not let their clients ask.
        with contextlib.suppress(RedisUnavailable, ResponseError):
            self._metrics.memory.set((await memory_of(self._redis)).ratio)
        return refusal
