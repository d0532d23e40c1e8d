"""Which sinks a project has."""

from collections.abc import Sequence

from headgate.v1 import event_pb2

from headgate_service.config import SinkRule
from headgate_service.directory import Directory, DirectoryUnavailable
from headgate_service.own_sinks import OwnSinks


class SinksOf:
    """The names of a project's sinks: the operator's among some rules, and its own; with `refusing` only of those that
    refuse events when they are too far behind."""

    def __init__(
        self, directory: Directory, rules: Sequence[SinkRule], own: OwnSinks | None = None, refusing: bool = False
    ) -> None:
        self._own = own or OwnSinks()
        self._directory = directory
        self._refusing = refusing
        self._rules = self._asked_for(rules)

    def __call__(self, project_id: str) -> Sequence[str]:
        return [rule.name for rule in self._serving(project_id)]

    def reached(self, project_id: str, events: Sequence[event_pb2.Event]) -> Sequence[str]:
        """Of these, the names of those whose routes take one of the events."""
        return [rule.name for rule in self._serving(project_id) if any(map(rule.takes, events))]

    def _serving(self, project_id: str) -> list[SinkRule]:
        try:
            project = self._directory.project(project_id)
        except DirectoryUnavailable:
            # Whoever asks was let in a moment ago. Only its own sinks, and those of projects named by slug, are not
            # known to be theirs.
            project = None
        slug, own = (project.slug, self._asked_for(self._own(project))) if project else ("", ())
        return [*(rule for rule in self._rules if rule.serves(project_id, slug)), *own]

    def _asked_for(self, rules: Sequence[SinkRule]) -> Sequence[SinkRule]:
        return [rule for rule in rules if rule.refuses_when_full] if self._refusing else rules
