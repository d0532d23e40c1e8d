"""Looks over and over whether each sink's books balance, and whether a backlog comes near its bound."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain

import structlog
from redis.exceptions import ResponseError

from headgate_service.delivery.books import Books, Ledger
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.sink_runners import SinkRunners
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.keys import ShardKeys

# Of a bound; the highest that is passed is told, once.
ALERTS = (0.8, 0.5)
# The audit takes at most one part in so many of the time: it goes through many projects slowly, not in a rush.
_REST = 50
# Asked for in one write to Redis, and answered in one read.
_PROJECTS_AT_ONCE = 32

_log = structlog.get_logger(__name__)


class Audit:
    """Of the projects in `shards`, by tag, every `seconds` or more. `backlog_bytes`: the bound."""

    def __init__(
        self,
        ledger: Ledger,
        runners: SinkRunners,
        shards: Mapping[str, Shard],
        metrics: DeliveryMetrics,
        seconds: float,
        backlog_bytes: int,
    ) -> None:
        self._ledger = ledger
        self._runners = runners
        self._shards = shards
        self._metrics = metrics
        self._seconds = seconds
        self._backlog_bytes = backlog_bytes
        self._told: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except (RedisUnavailable, ResponseError) as error:
                _log.warning("the audit waits for Redis", error=str(error))
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Raises RedisUnavailable, ResponseError."""
        loop = asyncio.get_running_loop()
        differences: dict[str, int] = defaultdict(int)
        backlogs: dict[str, float] = defaultdict(float)
        shards = list(self._shards.values())
        found = await asyncio.gather(*(shard.log.projects() for shard in shards))
        for shard, project_ids in zip(shards, found, strict=True):
            for first in range(0, len(project_ids), _PROJECTS_AT_ONCE):
                began = loop.time()
                some = project_ids[first : first + _PROJECTS_AT_ONCE]
                read = await asyncio.gather(*(self._books(shard.lease.keys, project_id) for project_id in some))
                for books in chain.from_iterable(read):
                    differences[books.sink] += abs(books.difference)
                    backlog = books.backlog_bytes / self._backlog_bytes
                    backlogs[books.sink] = max(backlogs[books.sink], backlog)
                    self._tell(books, backlog)
                await asyncio.sleep(_REST * (loop.time() - began))
        self._metrics.audited(differences, backlogs)

    async def _books(self, keys: ShardKeys, project_id: str) -> list[Books]:
        sinks = [runner.name for runner in self._runners.serving(project_id)]
        found = await self._ledger.books(keys, project_id, sinks) if sinks else []
        for books in found:
            if books.difference:
                _log.error(
                    "the books of a sink do not balance",
                    sink=books.sink,
                    project=project_id,
                    difference=books.difference,
                    accepted=books.accepted,
                    delivered=books.delivered,
                    filtered=books.filtered,
                    dead=books.dead,
                    pending=books.pending,
                )
        return found

    def _tell(self, books: Books, backlog: float) -> None:
        place = books.sink, books.project_id
        passed = next((alert for alert in ALERTS if backlog >= alert), 0.0)
        if passed > self._told.get(place, 0.0):
            runner = self._runners.named(books.sink)
            expires = runner is not None and runner.expires
            _log.warning(
                "a backlog comes near its bound",
                sink=books.sink,
                project=books.project_id,
                passed=f"{passed:.0%}",
                bytes=books.backlog_bytes,
                bound=self._backlog_bytes,
                then="its oldest events are given up" if expires else "the project's events are answered 503",
            )
        if passed:
            self._told[place] = passed
        else:
            self._told.pop(place, None)
