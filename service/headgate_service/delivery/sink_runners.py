"""The sinks that a forwarder runs: the operator's, always, and projects' own, which come and go."""

from collections.abc import Iterator, Sequence

from headgate_service.delivery.sink_runner import SinkRunner


class SinkRunners:
    """By name, and by the projects that they serve: what a project costs does not grow with other projects' sinks."""

    def __init__(self, configured: Sequence[SinkRunner]) -> None:
        self.configured = configured
        self._configured = {runner.name: runner for runner in configured}
        self._deployed: dict[str, SinkRunner] = {}
        self._own: dict[str, dict[str, SinkRunner]] = {}

    def __iter__(self) -> Iterator[SinkRunner]:
        return iter([*self.configured, *self._deployed.values()])

    @property
    def deployed(self) -> Sequence[SinkRunner]:
        return tuple(self._deployed.values())

    def named(self, name: str) -> SinkRunner | None:
        return self._configured.get(name) or self._deployed.get(name)

    def serving(self, project_id: str) -> list[SinkRunner]:
        own = self._own.get(project_id, {})
        return [*(runner for runner in self.configured if runner.config.serves(project_id)), *own.values()]

    def add(self, project_id: str, runner: SinkRunner) -> None:
        """A project's own sink begins."""
        self._deployed[runner.name] = runner
        self._own.setdefault(project_id, {})[runner.name] = runner

    def remove(self, project_id: str, runner: SinkRunner) -> None:
        """It ends."""
        if self._deployed.get(runner.name) is runner:
            del self._deployed[runner.name]
            own = self._own[project_id]
            del own[runner.name]
            if not own:
                del self._own[project_id]
