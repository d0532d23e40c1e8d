"""What the store forgets: a person, a deleted project, and events that were kept long enough.

Rows are rewritten without what is deleted, and the old files removed: the answer comes when that is done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from headgate_service.directory.project import Project
from headgate_service.errors import DirectoryUnavailable, StoreFailed
from headgate_service.store.client import Store
from headgate_service.store.schema import ERASED_TABLE, RETENTION_TABLE, TABLE, migrate

# Rewriting takes its time.
SECONDS = 600.0
MAX_DAYS = 36_500
_ON_ALL_REPLICAS = {"mutations_sync": "2"}
_OF_USER = "project_id = {project:String} AND (user_id = {user:String} OR distinct_id = {user:String})"
_OF_PROJECTS = "project_id IN {projects:Array(String)}"
# From the start of the day: once a day there is something to delete, and not each time somebody looks.
_EXPIRED = (
    "project_id IN {projects:Array(String)} AND receive_time < toStartOfDay(now64(3, 'UTC'))"
    " - toIntervalDay(transform(project_id::String, {projects:Array(String)}, {days:Array(UInt32)}, toUInt32(0)))"
)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many events went, when the first and last of them was received, and how many came in meanwhile."""

    events: int
    first: datetime | None = None
    last: datetime | None = None
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """How many events there are, in how many bytes of disk, and when the first and last of them was received."""

    rows: int
    bytes: int
    first: datetime | None = None
    last: datetime | None = None


class Erasure:
    """Deletes rows of one store. Raises StoreFailed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def user(self, project_id: str, user: str) -> Erased:
        """Events with this user or distinct id. Calling it again is not an error."""
        who = {"project": project_id, "user": user}
        counted = (
            "SELECT count(), toUnixTimestamp64Milli(min(receive_time)), toUnixTimestamp64Milli(max(receive_time))"  # noqa: S608
            f" FROM {TABLE} WHERE {_OF_USER}"
        )
        ((events, first, last),) = await self._store.query(counted, who)
        if not events:
            return Erased(0)
        by_hour = await self._store.query(
            f"SELECT intDiv(toUnixTimestamp(receive_time), 3600) AS hour, count() FROM {TABLE}"  # noqa: S608 (constants)
            f" WHERE {_OF_USER} GROUP BY hour ORDER BY hour",
            who,
        )
        await self._delete(_OF_USER, who)
        # A check of the store does not miss what was deleted on purpose.
        await self._store.command(
            f"INSERT INTO {ERASED_TABLE} (project_id, hour, events)"  # noqa: S608 (a constant)
            " SELECT {project:String}, hours.1, hours.2 FROM (SELECT arrayJoin(arrayZip("
            "{hours:Array(UInt32)}, {events:Array(UInt64)})) AS hours)",
            {"project": project_id, "hours": [row[0] for row in by_hour], "events": [row[1] for row in by_hour]},
        )
        ((remaining, *_),) = await self._store.query(counted, who)
        return Erased(events, _time(first), _time(last), remaining)

    async def size(self) -> Size:
        """What the store holds."""
        ((rows, first, last),) = await self._store.query(
            "SELECT count(), toUnixTimestamp64Milli(min(receive_time)), toUnixTimestamp64Milli(max(receive_time))"  # noqa: S608
            f" FROM {TABLE}"
        )
        ((size,),) = await self._store.query(
            "SELECT sum(bytes_on_disk) FROM system.parts"  # noqa: S608
            f" WHERE database = currentDatabase() AND table = '{TABLE}' AND active"
        )
        return Size(rows, size, _time(first), _time(last)) if rows else Size(0, size)

    async def projects(self, project_ids: Sequence[str]) -> int:
        """All events of these projects; how many there were."""
        return await self._delete_where_any(_OF_PROJECTS, {"projects": list(project_ids)}) if project_ids else 0

    async def keep(self, project_id: str, days: int) -> None:
        """From now on so many days; 0: for good."""
        await self._store.command(
            f"INSERT INTO {RETENTION_TABLE} (project_id, days) SELECT {{project:String}}, {{days:UInt32}}",
            {"project": project_id, "days": days},
        )

    async def kept_long_enough(self) -> int:
        """Deletes what no project keeps any longer; how many events that were."""
        kept = await self._store.query(
            f"SELECT project_id, argMax(days, since) AS kept FROM {RETENTION_TABLE} GROUP BY project_id HAVING kept > 0"  # noqa: S608
        )
        if not kept:
            return 0
        return await self._delete_where_any(
            _EXPIRED, {"projects": [str(row[0]) for row in kept], "days": [int(row[1]) for row in kept]}
        )

    async def _delete_where_any(self, condition: str, parameters: dict[str, list[str] | list[int]]) -> int:
        ((events,),) = await self._store.query(f"SELECT count() FROM {TABLE} WHERE {condition}", parameters)  # noqa: S608
        if events:
            await self._delete(condition, parameters)
        return int(events)

    async def _delete(self, condition: str, parameters: "dict[str, str] | dict[str, list[str] | list[int]]") -> None:
        await self._store.command(
            f"ALTER TABLE {TABLE} DELETE WHERE {condition}",
            parameters,
            {**_ON_ALL_REPLICAS, "max_execution_time": "0"},
            deadline=SECONDS,
        )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


FIRST_SECONDS, SECONDS = 5.0, 600.0
# Making a column may rewrite a table.
_MIGRATION_SECONDS = 600.0
_PROJECTS_AT_ONCE = 1000

_log = structlog.get_logger(__name__)


class Upkeep:
    """Looks every `seconds`. `deleted` gives those deleted. Any number of services may do so at once."""

    def __init__(self, store: Store, deleted: Callable[[], Sequence[Project]], seconds: float = SECONDS) -> None:
        self._store = store
        self._erasure = Erasure(store)
        self._deleted = deleted
        self._seconds = seconds
        self._migrated = False

    async def run(self) -> None:
        """Until cancelled."""
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            try:
                await self.look()
                wait = self._seconds
            except (StoreFailed, DirectoryUnavailable) as error:
                wait = min(max(wait * 2, FIRST_SECONDS), self._seconds)
                _log.warning("the store could not be looked after", error=str(error), again_seconds=wait)

    async def look(self) -> None:
        """Once. Raises StoreFailed and DirectoryUnavailable."""
        if not self._migrated:
            await self._migrate()
            self._migrated = True
        if expired := await self._erasure.kept_long_enough():
            _log.info("events were kept long enough, and are deleted", events=expired)
        ids = [project.id for project in self._deleted()]
        for start in range(0, len(ids), _PROJECTS_AT_ONCE):
            if gone := await self._erasure.projects(ids[start : start + _PROJECTS_AT_ONCE]):
                _log.info("events of deleted projects are deleted from the store", events=gone)

    async def _migrate(self) -> None:
        loop = asyncio.get_running_loop()
        command = partial(self._store.command, deadline=_MIGRATION_SECONDS)

        def run(statement: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(command(statement), loop).result()

        if applied := await asyncio.to_thread(migrate, run):
            _log.info("the store's tables are made", migrations=applied)
