"""Removes what Redis holds of deleted projects, when nobody needs it any more.

What a project accepted before it was deleted was acknowledged, and is delivered like all else: batches that are
promised may hold events of other projects too, and must stay what they are. So a project's keys go only when each of
the operator's sinks that is enabled has settled all of it, no replay reads it and none of its dead letters is about to
be sent again. A project's own sinks end with it. What the analytics store holds of it goes then, too, and first.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from headgate.v1 import delivery_pb2
from redis.exceptions import ResponseError

from headgate_service.directory.project import Project
from headgate_service.errors import DirectoryUnavailable, RedisUnavailable, StoreFailed
from headgate_service.log.position import BLOCK_EVENTS
from headgate_service.model.sink import SinkSpec
from headgate_service.project_sinks.serving import is_project_sink
from headgate_service.redis.keys import REPLAYS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script
from headgate_service.sink_control.sinks import Sinks
from headgate_service.store.client import Store
from headgate_service.store.schema import TABLE


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Events and payload bytes in the log, dead letters, and by sink the events that it has not got yet."""

    log_events: int
    log_bytes: int
    dead_letters: int
    pending: Mapping[str, int]


async def leftovers_of(redis: RedisPipeline, sinks: Sinks, project: Project) -> Leftovers:
    """Raises RedisUnavailable, ResponseError."""
    keys = shard_keys(project.shard).project(project.id)
    views, use, letters = await asyncio.gather(
        sinks.view([project]),
        redis.execute("HMGET", keys.use, "seq", "trimmed_seq", "bytes", "trimmed_bytes"),
        redis.execute("XLEN", keys.dead),
    )
    seq, trimmed_seq, size, trimmed_size = (int(value or 0) for value in use)
    pending = {view.rule.name: books.pending for view in views for _, books in view.books}
    return Leftovers(seq - trimmed_seq, size - trimmed_size, letters, pending)


# The rows are out of sight at once where the store waits for it, and out of its files when it gets to it.
DELETE = f"ALTER TABLE {TABLE} DELETE WHERE project_id = {{project:String}}"
SETTINGS = {"mutations_sync": "1"}
DELETE_SECONDS = 60.0


class StoredEvents:
    """Deletes them. Raises StoreFailed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def forget(self, project_id: str) -> None:
        """Deletes all that the store holds of a project; calling it twice is not an error."""
        await self._store.command(DELETE, {"project": project_id}, SETTINGS, deadline=DELETE_SECONDS)


SECONDS = 15.0
_RETRIES_AT_ONCE = 1000

_REMOVE = Script("remove", __package__)

_log = structlog.get_logger(__name__)


class Cleanup:
    """Looks every `seconds` at the projects that `deleted` gives. Any number of services may do so at once.

    `stored` is what the analytics store holds; None: there is none.
    """

    def __init__(
        self,
        redis: RedisPipeline,
        rules: Sequence[SinkSpec],
        deleted: Callable[[], Sequence[Project]],
        stored: StoredEvents | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._redis = redis
        self._rules = rules
        self._deleted = deleted
        self._stored = stored
        self._seconds = seconds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except (RedisUnavailable, ResponseError, DirectoryUnavailable) as error:
                _log.warning("deleted projects wait to be removed", error=str(error))

    async def look(self) -> list[Project]:
        """Removes what can go, and returns whose. Raises RedisUnavailable, ResponseError, DirectoryUnavailable."""
        deleted = {one.id: one for one in self._deleted()}
        shards = sorted({one.shard for one in deleted.values()})
        there = await asyncio.gather(*(self._redis.execute("SMEMBERS", shard_keys(one).projects) for one in shards))
        remaining = [deleted[name] for names in there for one in names if (name := one.decode()) in deleted]
        if not remaining:
            return []
        replayed = await self._replayed()
        removed = [one for one in remaining if one.id not in replayed and await self._try(one)]
        for project in removed:
            _log.info("a deleted project is gone from Redis", project=project.id)
        return removed

    async def _replayed(self) -> set[str]:
        """The projects that replays read."""
        stored = map(delivery_pb2.StoredReplay.FromString, await self._redis.execute("HVALS", REPLAYS))
        return {
            one.project_id
            for replay in stored
            if replay.end == delivery_pb2.StoredReplay.END_UNSPECIFIED and not is_project_sink(replay.sink)
            for one in replay.ranges
        }

    async def _try(self, project: Project) -> bool:
        try:
            return await self._remove(project)
        except StoreFailed as error:
            _log.warning("what is stored of a deleted project waits", project=project.id, error=str(error))
            return False

    async def _remove(self, project: Project) -> bool:
        shard = shard_keys(project.shard)
        keys = shard.project(project.id)
        sinks = [rule.name for rule in self._rules if rule.enabled and rule.serves(project.id, project.slug)]
        fields, (accepted,) = await asyncio.gather(
            self._redis.execute("HKEYS", keys.cursors), self._redis.execute("HMGET", keys.use, "seq")
        )
        # Of every sink that ever had one, too: it may be configured no more.
        known = {name.decode().removeprefix("c:") for name in fields if name.startswith(b"c:")} | set(sinks)
        own = {sink for sink in known if is_project_sink(sink)}
        for sink in known - own:
            if await self._retries(shard.retries(sink), project.id):
                return False
        blocks = range(int(accepted or 0) // BLOCK_EVENTS + 1)
        names = [
            *(shard.projects, shard.ready, shard.changed, shard.remembered, shard.letters),
            *(
                keys.use,
                keys.cursors,
                keys.log,
                keys.dead,
                keys.refused,
                keys.letters,
                keys.remembered,
                *keys.dedup,
                *keys.records,
            ),
            *(key for sink in own for key in (shard.seals(sink), shard.retries(sink))),
            *(keys.dead_ranges(sink) for sink in known),
            *(keys.filtered(sink, block) for sink in known for block in blocks),
        ]
        if not await _REMOVE.run(self._redis, names, project.id, 0, *sinks):
            return False
        if self._stored is not None:
            # While its keys are there it is looked at again, should the store not answer.
            await self._stored.forget(project.id)
        return bool(await _REMOVE.run(self._redis, names, project.id, 1, *sinks))

    async def _retries(self, key: str, project_id: str) -> bool:
        """Whether an event of the project is about to be sent again."""
        cursor = b"0"
        while True:
            cursor, found = await self._redis.execute(
                "HSCAN", key, cursor, "MATCH", f"{project_id} *", "COUNT", _RETRIES_AT_ONCE
            )
            if found:
                return True
            if cursor == b"0":
                return False
