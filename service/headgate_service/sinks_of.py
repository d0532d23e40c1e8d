"""Which sinks a project has."""

from collections.abc import Sequence

from headgate.v1 import event_pb2

from headgate_service.config import SinkRule
from headgate_service.directory import Directory, DirectoryUnavailable


class SinksOf:
    """The names of a project's sinks among some rules."""

    def __init__(self, directory: Directory, rules: Sequence[SinkRule]) -> None:
        self._directory = directory
        self._rules = rules

    def __call__(self, project_id: str) -> Sequence[str]:
        return [rule.name for rule in self._serving(project_id)]

    def reached(self, project_id: str, events: Sequence[event_pb2.Event]) -> Sequence[str]:
        """Of these, the names of those whose routes take one of the events."""
        return [rule.name for rule in self._serving(project_id) if any(map(rule.takes, events))]

    def _serving(self, project_id: str) -> list[SinkRule]:
        try:
            project = self._directory.project(project_id)
        except DirectoryUnavailable:
            # Whoever asks was let in a moment ago. Only sinks of projects named by slug are not known to be theirs.
            project = None
        slug = project.slug if project else ""
        return [rule for rule in self._rules if rule.serves(project_id, slug)]
