"""The projects that a sink is limited to, by the slugs in headgate.toml, found as they come and go."""

from collections.abc import Container
from dataclasses import dataclass

from headgate_service.directory import Directory


@dataclass(frozen=True)
class NamedProjects(Container[str]):
    """Holds the ids of the projects that have one of these slugs; one that is made later is held from then on."""

    slugs: frozenset[str]
    directory: Directory

    def __contains__(self, project_id: object) -> bool:
        if not isinstance(project_id, str):
            return False
        # A deleted one too: what it had accepted before is still to be delivered.
        project = self.directory.remembered(project_id)
        return project is not None and (project.slug in self.slugs or project.id in self.slugs)
