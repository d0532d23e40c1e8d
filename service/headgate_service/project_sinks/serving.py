"""The sinks that projects' own active configs bring, as whoever serves requests knows them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headgate.v1 import event_pb2

from headgate_service.config import ProjectSinkRules
from headgate_service.directory.directory import Directory
from headgate_service.directory.project import Project
from headgate_service.errors import DirectoryUnavailable
from headgate_service.model.sink import SinkSpec
from headgate_service.policy.policy import Policy

_PROJECTS_REMEMBERED = 10_000
# Each keeps a thread, and the interpreter, busy.
_DRY_RUNS_AT_ONCE = 2


def project_sink_name(slug: str, name: str) -> str:
    """What a project's own sink is called wherever it could be taken for another: a project keeps its slug for ever,
    and no operator's sink has a slash in its name."""
    return f"{slug}/{name}"


def is_project_sink(name: str) -> bool:
    """Whether a sink is a project's own."""
    return "/" in name


@dataclass(frozen=True, slots=True)
class ActiveProjectSinks:
    """Those of a project, by its active policy; none at all where the operator lets no project have any."""

    allowed: bool = True

    @classmethod
    def under(cls, rules: ProjectSinkRules) -> "ActiveProjectSinks":
        return cls(bool(rules.kinds))

    def __call__(self, project: Project) -> Sequence[SinkSpec]:
        if project.policy is None or not self.allowed:
            return ()
        return _rules(project.id, project.slug, project.policy)


@lru_cache(_PROJECTS_REMEMBERED)
def _rules(project_id: str, slug: str, policy: Policy) -> Sequence[SinkSpec]:
    return tuple(
        SinkSpec(
            name=project_sink_name(slug, sink.name),
            use=sink.use,
            projects=frozenset({project_id}),
            when_full="refuse" if sink.when_full == "refuse" else "expire",
            route_source=sink.route,
        )
        for sink in policy.config.sinks
    )


class SinksOf:
    """The names of a project's sinks: the operator's among some rules, and its own; with `refusing` only of those that
    refuse events when they are too far behind."""

    def __init__(
        self,
        directory: Directory,
        rules: Sequence[SinkSpec],
        own: ActiveProjectSinks | None = None,
        refusing: bool = False,
    ) -> None:
        self._own = own or ActiveProjectSinks()
        self._directory = directory
        self._refusing = refusing
        self._rules = self._asked_for(rules)
        self._turns = asyncio.Semaphore(_DRY_RUNS_AT_ONCE)

    def __call__(self, project_id: str) -> Sequence[str]:
        return [rule.name for rule in self._serving(project_id)]

    async def reached(self, project_id: str, events: Sequence[event_pb2.Event]) -> Sequence[str]:
        """Of these, the names of those whose routes take one of the events."""
        rules = self._serving(project_id)
        async with self._turns:
            # Up to 50 ms an event: away from the requests of others.
            return await asyncio.to_thread(_reached, rules, events)

    def _serving(self, project_id: str) -> list[SinkSpec]:
        try:
            project = self._directory.project(project_id)
        except DirectoryUnavailable:
            # Whoever asks was let in a moment ago. Only its own sinks, and those of projects named by slug, are not
            # known to be theirs.
            project = None
        slug, own = (project.slug, self._asked_for(self._own(project))) if project else ("", ())
        return [*(rule for rule in self._rules if rule.serves(project_id, slug)), *own]

    def _asked_for(self, rules: Sequence[SinkSpec]) -> Sequence[SinkSpec]:
        return [rule for rule in rules if rule.refuses_when_full] if self._refusing else rules


def _reached(rules: Sequence[SinkSpec], events: Sequence[event_pb2.Event]) -> Sequence[str]:
    return [rule.name for rule in rules if any(map(rule.takes, events))]
