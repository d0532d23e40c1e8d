"""How much of Redis's memory dead letters may take. An event whose letter is not kept counts as dead all the same."""

import asyncio
from collections.abc import Callable, Container

import structlog
from redis.exceptions import ResponseError

from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.errors import RedisUnavailable
from headgate_service.log.client_memory import Share, largest_first, level_of
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

_SECONDS = 10.0
_QUIET_SECONDS = 60.0
_LETTERS_AT_ONCE = 100

_PRUNE = Script("prune_letters", __package__)
_log = structlog.get_logger(__name__)


class DeadLetterBound:
    """Of one sink: each project keeps `size` bytes of its letters. `count` is told how many found no room."""

    def __init__(self, sink: str, size: int, count: Callable[[int], None]) -> None:
        self.size = size
        self._sink = sink
        self._count = count
        self._unkept = 0
        self._next_log = 0.0

    def unkept(self, project_id: str, letters: int) -> None:
        """Counts letters that found no room, and says so once a minute."""
        self._count(letters)
        self._unkept += letters
        now = asyncio.get_running_loop().time()
        if now >= self._next_log:
            _log.warning(
                "dead letters are not kept: purge or retry those that are there",
                sink=self._sink,
                project=project_id,
                letters=self._unkept,
                bound=self.size,
            )
            self._next_log, self._unkept = now + _QUIET_SECONDS, 0


class DeadLetterTotal:
    """Of all projects and sinks: over `bound` bytes, the projects that take the most lose their oldest letters.

    Each forwarder removes those of the shards that it holds, whose tags are in `held`.
    """

    def __init__(self, redis: RedisPipeline, held: Container[str], bound: int, metrics: DeliveryMetrics) -> None:
        self._redis = redis
        self._held = held
        self._bound = bound
        self._metrics = metrics

    async def run(self) -> None:
        """Looks every 10 seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except (RedisUnavailable, ResponseError) as error:
                _log.warning("the memory of dead letters is not looked at", error=str(error))
            await asyncio.sleep(_SECONDS)

    async def look(self) -> None:
        """Removes what is too much. Raises RedisUnavailable, ResponseError."""
        shares = largest_first(
            await asyncio.gather(
                *(
                    self._redis.execute("ZRANGE", shard_keys(shard).letters, 0, -1, "WITHSCORES")
                    for shard in range(SHARDS)
                )
            )
        )
        level = level_of([share.size for share in shares], self._bound)
        total = 0
        for share in shares:
            mine = shard_keys(share.shard).tag in self._held
            total += await self._prune(share, level) if mine and share.size > level else share.size
        self._metrics.letter_bytes.set(total)

    async def _prune(self, share: Share, level: int) -> int:
        """Returns the bytes that stay."""
        shard = shard_keys(share.shard)
        keys = [shard.project(share.project_id).dead, shard.project(share.project_id).letters, shard.letters]
        left, removed = share.size, dict[str, int]()
        while left > level:
            left, *gone = await _PRUNE.run(self._redis, keys, share.project_id, level, _LETTERS_AT_ONCE)
            for sink, letters in zip(gone[::2], gone[1::2], strict=True):
                removed[sink.decode()] = removed.get(sink.decode(), 0) + letters
                self._metrics.letters_removed(sink.decode(), letters)
        for sink, letters in removed.items():
            _log.warning(
                "dead letters were removed: those of all projects take too much",
                sink=sink,
                project=share.project_id,
                letters=letters,
                bound=self._bound,
            )
        return left
