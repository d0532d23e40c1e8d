"""Copies counters from Redis to the control DB, over and over."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import structlog
from redis.exceptions import ResponseError

from headgate_service.counters.epochs import Epochs
from headgate_service.counters.saved import Counted, SavedCounters
from headgate_service.counters.uninterrupted import run_uninterrupted
from headgate_service.errors import ControlDbUnavailable, RedisUnavailable
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script

POLL_SECONDS = 1.0
_LAST_SECONDS = 5.0
PAGE_PROJECTS = 200
# Redis does nothing else during a call.
_PROJECTS_PER_CALL = 50

# Held by whoever began the last copy, until the next is due: one service at a time does the work. Two at once would
# only do it twice.
COPYING = "headgate:copying"
# When the last copy ended, in ms.
COPIED = "headgate:copied"

_TURN, _DONE = Script("turn", __package__), Script("done", __package__)
_CHANGED, _COUNTERS, _COPIED = (Script(name, __package__) for name in ("changed", "counters", "copied"))
_log = structlog.get_logger(__name__)


class Backup:
    """Copies what changed since the last copy: an idle project costs nothing.

    A copy begins `copy_seconds` after the one before it, at most a poll later, whichever service made that. `now_ms` is
    milliseconds since 1970. `on_step` is called after each read, save and end of a page, for tests that
    end there.
    """

    def __init__(
        self,
        redis: RedisPipeline,
        saved: SavedCounters,
        epochs: Epochs,
        now_ms: Callable[[], int],
        *,
        copy_seconds: float,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._redis = redis
        self._saved = saved
        self._epochs = epochs
        self._now_ms = now_ms
        self._copy_seconds = copy_seconds
        # When the last copy ended, whoever made it.
        self.copied_ms: int | None = None
        self._poll_seconds = min(POLL_SECONDS, copy_seconds / 4)
        self._on_step = on_step

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                if await _TURN.run(self._redis, [COPYING], int(self._copy_seconds * 1000)):
                    await run_uninterrupted(self.copy())
                copied = await self._redis.execute("GET", COPIED)
                self.copied_ms = int(copied) if copied else self.copied_ms
            except (RedisUnavailable, ResponseError, ControlDbUnavailable) as error:
                _log.warning("counters cannot be copied now", error=str(error))

    async def last(self) -> None:
        """A copy at the end of a service, so that one that was told to end leaves nothing to be copied."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.copy()
        except (RedisUnavailable, ResponseError, ControlDbUnavailable, TimeoutError) as error:
            _log.warning("counters cannot be copied at the end", error=str(error) or type(error).__name__)

    async def copy(self) -> None:
        """Once. Raises RedisUnavailable, ResponseError, ControlDbUnavailable."""
        changed = await asyncio.gather(*map(self._changed, range(SHARDS)))
        projects = [place for shard in changed for place in shard]
        for first in range(0, len(projects), PAGE_PROJECTS):
            await self._copy_page(projects[first : first + PAGE_PROJECTS])
        await _DONE.run(self._redis, [COPIED], self._now_ms())

    async def _changed(self, shard: int) -> list[tuple[int, str]]:
        keys = shard_keys(shard)
        found = await _CHANGED.run(self._redis, [keys.epoch, keys.ready, keys.changed], self._epochs.name(shard))
        return [(shard, project.decode()) for project in sorted(set(found or ()))]

    async def _copy_page(self, projects: Sequence[tuple[int, str]]) -> None:
        # First: what Redis says after that is no less than what was saved, unless its data was set back.
        saved = await self._saved.seqs([project_id for _, project_id in projects])
        read = await asyncio.gather(*(self._counted(*part) for part in _parts(projects)))
        counted = [one for part in read for one in part]
        self._on_step("read")
        set_back = {one.shard for one in counted if one.seq < saved.get(one.project_id, 0)}
        for shard in set_back:
            await self._set_back(shard)
        whole = [one for one in counted if one.shard not in set_back]
        await self._saved.save(whole)
        self._on_step("save")
        copied = {one.project_id: one for one in whole}
        await asyncio.gather(
            *(
                self._end(shard, [copied[one] for one in project_ids])
                for shard, project_ids in _parts([(one.shard, one.project_id) for one in whole])
            )
        )
        self._on_step("end")

    async def _counted(self, shard: int, project_ids: Sequence[str]) -> list[Counted]:
        """None of them where the epoch is another one by now."""
        keys = shard_keys(shard)
        names = [keys.epoch]
        for project in map(keys.project, project_ids):
            names += (project.use, project.cursors)
        found = await _COUNTERS.run(self._redis, names, self._epochs.name(shard))
        if found is None:
            return []
        ms, *read = found
        return [Counted.of(one, shard, ms, *fields) for one, fields in zip(project_ids, read, strict=True)]

    async def _end(self, shard: int, counted: Sequence[Counted]) -> None:
        keys = shard_keys(shard)
        names = [keys.changed, *(keys.project(one.project_id).use for one in counted)]
        arguments: list[str | int] = []
        for one in counted:
            over = one.over()
            arguments += (one.project_id, one.ms, one.due_ms(), len(over))
            for field in over.items():
                arguments += field
        await _COPIED.run(self._redis, names, *arguments)

    async def _set_back(self, shard: int) -> None:
        """Redis holds less than was copied from it: the data of an earlier time. It is put in order as lost data is."""
        _log.error("REDIS HOLDS THE DATA OF AN EARLIER TIME: its counters are put back", shard=shard)
        await self._redis.execute("DEL", shard_keys(shard).epoch, shard_keys(shard).restoring)
        self._epochs.lost(shard)


def _parts(projects: Sequence[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """The projects of one shard that follow one another, for one call of a script: a call each would cost more than
    what it does."""
    for shard, of_shard in groupby(projects, key=itemgetter(0)):
        ids = [project_id for _, project_id in of_shard]
        for first in range(0, len(ids), _PROJECTS_PER_CALL):
            yield shard, ids[first : first + _PROJECTS_PER_CALL]
