"""The sinks that a forwarder runs: the operator's, always, and projects' own, which come and go."""

from collections.abc import Iterator, Sequence

from headgate_service.delivery.outlet import Outlet


class Outlets:
    """By name, and by the projects that they serve: what a project costs does not grow with other projects' sinks."""

    def __init__(self, configured: Sequence[Outlet]) -> None:
        self.configured = configured
        self._configured = {outlet.name: outlet for outlet in configured}
        self._deployed: dict[str, Outlet] = {}
        self._own: dict[str, dict[str, Outlet]] = {}

    def __iter__(self) -> Iterator[Outlet]:
        return iter([*self.configured, *self._deployed.values()])

    @property
    def deployed(self) -> Sequence[Outlet]:
        return tuple(self._deployed.values())

    def named(self, name: str) -> Outlet | None:
        return self._configured.get(name) or self._deployed.get(name)

    def serving(self, project_id: str) -> list[Outlet]:
        own = self._own.get(project_id, {})
        return [*(outlet for outlet in self.configured if outlet.config.serves(project_id)), *own.values()]

    def add(self, project_id: str, outlet: Outlet) -> None:
        """A project's own sink begins."""
        self._deployed[outlet.name] = outlet
        self._own.setdefault(project_id, {})[outlet.name] = outlet

    def remove(self, project_id: str, outlet: Outlet) -> None:
        """It ends."""
        if self._deployed.get(outlet.name) is outlet:
            del self._deployed[outlet.name]
            own = self._own[project_id]
            del own[outlet.name]
            if not own:
                del self._own[project_id]
