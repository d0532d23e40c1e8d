"""A configured sink, as every part of the service uses it."""

import hashlib
import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from headgate.v1 import event_pb2

from headgate_service.model.event_view import Fields
from headgate_service.model.project_route import project_route
from headgate_service.model.route import Route, RouteFailed, RouteInvalid

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# A project sink has the project's slug before its name.
_PROJECT_SINK_NAME = re.compile(rf"[a-z0-9-]{{1,63}}/{_NAME.pattern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSpec:
    """`use` names its kind, `settings` is its `[sinks.config]`, which only forwarders need. `projects` are ids, or in a
    service ids and slugs; None: all projects. A sink that is not enabled runs no batch and keeps its position in the
    log. `when_full` None: what its kind says. `memory`: bytes that the process of a third-party sink may use; None: no
    limit. `route` picks its events; None: all of them; `route_source` is a route that is compiled at its first use.
    `fields` picks what it sees of them; None: everything. `pause_rejecting`: whether it pauses for a project when it
    rejects most of its events. `spec` replaces all of it in its hash: that of a project sink holds no secrets.
    """

    name: str
    use: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    projects: Container[str] | None = None
    enabled: bool = True
    when_full: Literal["refuse", "expire"] | None = None
    memory: int | None = 512 * 1024 * 1024
    route: Route | None = None
    route_source: str | None = None
    fields: Fields | None = None
    pause_rejecting: bool = True
    spec: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) and not _PROJECT_SINK_NAME.fullmatch(self.name):
            raise ValueError(
                f"a sink's name must be 1 to 40 of a-z, 0-9 and hyphens, and not begin with a hyphen: "
                f"rename {self.name!r}"
            )

    @property
    def refuses_when_full(self) -> bool:
        return self.when_full == "refuse"

    def serves(self, project_id: str, slug: str = "") -> bool:
        return self.projects is None or project_id in self.projects or (slug != "" and slug in self.projects)

    def takes(self, event: event_pb2.Event) -> bool:
        """Whether its route takes the event."""
        try:
            route = self.route if self.route_source is None else _compile(self.route_source)
            return route is None or route.takes(event)
        except (RouteFailed, RouteInvalid):
            return False

    def spec_hash(self) -> bytes:
        """SHA-256 of its name, use, settings, route and fields as written."""
        if self.spec is not None:
            return hashlib.sha256(self.spec).digest()
        route = self.route.source if self.route else None
        fields = self.fields.source.decode() if self.fields else None
        spec = [self.name, self.use, self.settings, route, fields]
        return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).digest()


_compile = lru_cache(1_000)(project_route)
