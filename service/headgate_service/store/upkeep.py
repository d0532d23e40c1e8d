"""Keeps the store in order from the service: makes its tables, and deletes what is to be forgotten by itself."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from headgate_service.directory import DirectoryUnavailable
from headgate_service.project import Project
from headgate_service.store.client import Store, StoreFailed
from headgate_service.store.erasure import Erasure
from headgate_service.store.migration import migrate

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
