"""The sinks that projects' own active configs bring, as whoever serves requests knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headgate_service.config import SinkRule
from headgate_service.policy.policy import Policy
from headgate_service.policy.tenant_rules import TenantRules
from headgate_service.project import Project

_PROJECTS_REMEMBERED = 10_000


def own_name(slug: str, name: str) -> str:
    """What a project's own sink is called wherever it could be taken for another: a project keeps its slug for ever,
    and no operator's sink has a slash in its name."""
    return f"{slug}/{name}"


def is_own(name: str) -> bool:
    """Whether a sink is a project's own."""
    return "/" in name


@dataclass(frozen=True, slots=True)
class OwnSinks:
    """Those of a project, by its active policy; none at all where the operator lets no project have any."""

    allowed: bool = True

    @classmethod
    def under(cls, rules: TenantRules) -> "OwnSinks":
        return cls(bool(rules.kinds))

    def __call__(self, project: Project) -> Sequence[SinkRule]:
        if project.policy is None or not self.allowed:
            return ()
        return _rules(project.id, project.slug, project.policy)


@lru_cache(_PROJECTS_REMEMBERED)
def _rules(project_id: str, slug: str, policy: Policy) -> Sequence[SinkRule]:
    return tuple(
        SinkRule(
            own_name(slug, sink.name),
            sink.when_full == "refuse",
            frozenset({project_id}),
            sink.use,
            route_source=sink.route,
        )
        for sink in policy.config.sinks
    )
