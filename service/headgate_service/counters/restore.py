"""Puts counters back into a Redis that has lost them, and lets it serve again."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog
from redis.exceptions import ResponseError

from headgate_service.counters.epochs import Epochs
from headgate_service.counters.saved import Counted, Epoch, SavedCounters
from headgate_service.counters.uninterrupted import run_uninterrupted
from headgate_service.errors import ControlDbUnavailable, RedisUnavailable
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
PAGE_PROJECTS = 200

_BEGIN, _PUT_BACK, _FINISH = (Script(name, __package__) for name in ("begin", "put_back", "finish"))
_pack = msgspec.msgpack.Encoder().encode
_log = structlog.get_logger(__name__)


class _EmptiedAgain(Exception):
    """Redis was emptied, or another service began under another name, since this began."""


class Restore:
    """Does so whenever `epochs` misses shards. Any number of services may do it at once: each step is harmless to
    repeat, and is refused where Redis was emptied since the first one.

    `sinks_of` names the sinks of a project, `made_name` makes names for epochs, `on_put_back` is told how many projects
    were done.
    """

    def __init__(
        self,
        redis: RedisPipeline,
        saved: SavedCounters,
        epochs: Epochs,
        sinks_of: Callable[[str], Sequence[str]],
        made_name: Callable[[], str],
        on_put_back: Callable[[int], None] = lambda projects: None,
    ) -> None:
        self._redis = redis
        self._saved = saved
        self._epochs = epochs
        self._sinks_of = sinks_of
        self._made_name = made_name
        self._on_put_back = on_put_back
        # What was logged last of why it cannot be done.
        self._told = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            able = await run_uninterrupted(self.turn())
            await asyncio.sleep(POLL_SECONDS if able else RETRY_SECONDS)

    async def turn(self) -> bool:
        """Puts back what is missing now; False where it cannot."""
        if not self._epochs.missing:
            return True
        # Where one is missing, the others may be.
        await self._epochs.look()
        try:
            await self.put_back()
        except _EmptiedAgain:
            _log.warning("Redis was emptied again while its counters were put back")
        except (RedisUnavailable, ResponseError, ControlDbUnavailable) as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.error("counters cannot be put back yet", error=self._told)
            return False
        self._told = ""
        await self._epochs.look()
        return True

    async def put_back(self) -> None:
        """Once, for the shards that are missing now. Raises RedisUnavailable, ResponseError, ControlDbUnavailable."""
        seconds, micros = await self._redis.execute("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        names = await self._agree(self._epochs.missing, now_ms)
        projects, after = 0, ""
        while names and (page := await self._saved.page(names, after, PAGE_PROJECTS, now_ms)):
            await asyncio.gather(*(self._project(one, names[one.shard]) for one in page))
            projects, after = projects + len(page), page[-1].project_id
        for shard, name in names.items():
            keys = shard_keys(shard)
            if not await _FINISH.run(self._redis, [keys.epoch, keys.restoring], name):
                raise _EmptiedAgain
        if projects:
            self._on_put_back(projects)
            _log.warning("counters were restored from the last backup", projects=projects, shards=len(names))

    async def _agree(self, shards: frozenset[int], now_ms: int) -> dict[int, str]:
        """The names that those shards are to have which still miss theirs: those that another service began with, or
        new ones."""
        epochs = await self._saved.epochs()
        begun: dict[int, str] = {}
        fresh: dict[int, tuple[str | None, Epoch]] = {}
        for shard in shards:
            keys, known = shard_keys(shard), epochs.get(shard)
            held, restoring = await asyncio.gather(
                *(self._redis.execute("GET", key) for key in (keys.epoch, keys.restoring))
            )
            if known is None:
                fresh[shard] = None, Epoch(self._made_name(), None)
            elif held is not None and held.decode() == known.name:
                continue
            elif restoring is not None and restoring.decode() == known.name:
                begun[shard] = known.name
            else:
                fresh[shard] = known.name, Epoch(self._made_name(), now_ms)
        if fresh:
            await self._saved.rename(fresh)
            epochs = await self._saved.epochs()
            for shard in fresh:
                begun[shard] = epochs[shard].name
                keys = shard_keys(shard)
                await _BEGIN.run(self._redis, [keys.epoch, keys.restoring, keys.lease], begun[shard])
        return begun

    async def _project(self, counted: Counted, name: str) -> None:
        shard = shard_keys(counted.shard)
        project = shard.project(counted.project_id)
        sinks = counted.places(self._sinks_of(counted.project_id))
        counts = [part for month, events in counted.months.items() for part in (f"m{month}", events)]
        counts += [
            part for (hour, outcome), events in counted.hours.items() for part in (f"h:{hour}:{outcome}", events)
        ]
        fields = [part for field in counted.sinks.items() for part in field]
        answer = await _PUT_BACK.run(
            self._redis,
            [
                *(shard.epoch, shard.restoring, shard.projects, shard.changed),
                *(project.use, project.cursors, project.log, project.dead),
                *(project.dead_ranges(sink) for sink, _, _ in sinks),
            ],
            name,
            _pack([counted.project_id, counted.seq, counted.payload_bytes, counts, fields, sinks]),
        )
        if answer == b"AGAIN":
            raise _EmptiedAgain
