"""Which data Redis must hold for events to be taken in: the names that the control DB knows, watched all the time."""

import asyncio

import structlog
from redis.exceptions import ResponseError

from headgate_service.counters.saved import Epoch, SavedCounters
from headgate_service.counters.uninterrupted import run_uninterrupted
from headgate_service.errors import ControlDbUnavailable, RedisUnavailable
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline

LOOK_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class Epochs:
    """The shards' epochs as this process knows them; `run` must be running for news of them to come.

    Every append compares the name for itself, so that the time between two looks lets nothing in.
    """

    def __init__(self, redis: RedisPipeline, saved: SavedCounters) -> None:
        self._redis = redis
        self._saved = saved
        self._known: dict[int, Epoch] = {}
        # Until a look has found the names in Redis, none of them is there.
        self._missing = frozenset(range(SHARDS))
        self._look_now = asyncio.Event()
        self._told = ""

    @property
    def missing(self) -> frozenset[int]:
        """The shards whose data Redis does not hold, as of the last look that it answered."""
        return self._missing

    def name(self, shard: int) -> str:
        known = self._known.get(shard)
        return known.name if known else ""

    def lost_ms(self, shard: int) -> int | None:
        """When the data of a shard was last found to be lost; None: never."""
        known = self._known.get(shard)
        return known.lost_ms if known else None

    def lost(self, shard: int) -> None:
        if shard not in self._missing:
            self._missing |= {shard}
            self._look_now.set()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await run_uninterrupted(self.look())
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()

    async def look(self) -> None:
        """Compares the names with those in Redis; where they differ, with those in the control DB first."""
        try:
            missing = await self._differing()
            if missing:
                self._known = await self._saved.epochs()
                missing = await self._differing()
        except (RedisUnavailable, ResponseError, ControlDbUnavailable) as error:
            if self._missing and str(error) != self._told:
                self._told = str(error)
                _log.warning("counters are missing, and cannot be looked for now", error=self._told)
            return
        if missing and not self._missing:
            _log.error("REDIS HAS LOST ITS COUNTERS: no events are taken until they are put back", shards=len(missing))
        elif self._missing and not missing:
            _log.info("counters are complete")
        self._missing, self._told = missing, ""

    async def _differing(self) -> frozenset[int]:
        found = await asyncio.gather(*(self._redis.execute("GET", shard_keys(one).epoch) for one in range(SHARDS)))
        return frozenset(one for one, name in enumerate(found) if name is None or name.decode() != self.name(one))
