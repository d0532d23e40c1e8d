"""A sink that a project's own active config brings, and what is learnt of such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate_service.model.sink import SinkSpec


@dataclass(frozen=True, slots=True)
class ProjectSink:
    """A sink of one project. `version` is the deploy's; `fault` says why it cannot run, and is empty where it can.

    Its name is the project's slug, a slash and the name in the config: no other sink's, and the same in every version.
    """

    config: SinkSpec
    project_id: str
    shard: int
    version: int
    fault: str = ""

    @property
    def name(self) -> str:
        return self.config.name

    def same(self, other: "ProjectSink") -> bool:
        """Whether it may go on where the other runs."""
        return self.state == other.state

    @property
    def state(self) -> tuple[object, ...]:
        """What makes a run of it another one."""
        return self.name, self.version, self.fault, self.config.when_full, self.config.spec_hash()


@dataclass(frozen=True, slots=True)
class SinkChanges:
    """The sinks of the projects that changed after the control DB's counter stood at `since`, up to `until`; projects
    that have none any more are there with none."""

    since: int
    until: int
    sinks: Mapping[str, Sequence[ProjectSink]]
