"""The sinks that projects' own active configs bring, as a forwarder knows them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from headgate_service.delivery.project_sink import ProjectSink, SinkChanges
from headgate_service.delivery.shard import Shard
from headgate_service.errors import ControlDbUnavailable

NOTHING = -1
LOOK_SECONDS = 1.0

# A reader that has settled nothing: nothing of the log goes while there is one.
UNKNOWN_READER = "?"

_log = structlog.get_logger(__name__)


class SinkChangesSource(Protocol):
    """Where they are learnt of."""

    async def load(self, since: int) -> SinkChanges:
        """Raises ControlDbUnavailable."""


class NoProjectSinks:
    """A source for who runs only what the operator configured."""

    async def load(self, since: int) -> SinkChanges:
        return SinkChanges(since, 0, {})


class ProjectSinks:
    """Looks once a second, and has the shards in `shards`, by tag, run what is deployed. While the control DB is away,
    what was known goes on; before it was first there, nothing is known, and no project's log may be trimmed."""

    def __init__(self, source: SinkChangesSource, shards: Mapping[str, Shard]) -> None:
        self._source = source
        self._shards = shards
        self._since = NOTHING
        self._by_project: dict[str, Sequence[ProjectSink]] = {}
        self._by_shard: dict[int, dict[str, ProjectSink]] = defaultdict(dict)

    @property
    def known(self) -> bool:
        return self._since != NOTHING

    def of(self, project_id: str) -> Sequence[ProjectSink]:
        return self._by_project.get(project_id, ())

    def readers(self, project_id: str) -> Sequence[str]:
        """The names that a project's log is kept for."""
        return [sink.name for sink in self.of(project_id)] if self.known else [UNKNOWN_READER]

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                await self.look()
                failing = False
            except ControlDbUnavailable as error:
                if not failing:
                    _log.warning("deployed sinks wait for the control DB", error=str(error), known=self.known)
                failing = True
            for shard in list(self._shards.values()):
                shard.deploy(self._by_shard.get(shard.lease.shard, {}))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Raises ControlDbUnavailable."""
        changes = await self._source.load(self._since)
        if changes.since == NOTHING:
            self._by_project.clear()
            self._by_shard.clear()
        for project_id, sinks in changes.sinks.items():
            for sink in self._by_project.pop(project_id, ()):
                del self._by_shard[sink.shard][sink.name]
            if sinks:
                self._by_project[project_id] = sinks
                for sink in sinks:
                    self._by_shard[sink.shard][sink.name] = sink
        self._since = changes.until
