"""What a service process is told at its start; it reads nothing else of the world around it."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from headgate.v1 import event_pb2

from headgate_service.access.jwt_issuer import JwtIssuer
from headgate_service.accounts.attempt_limits import AttemptLimits
from headgate_service.accounts.terms import SessionTerms
from headgate_service.entrance import PublicRoute
from headgate_service.limits import RateLimits
from headgate_service.policy.tenant_rules import TenantRules
from headgate_service.route import Route, RouteFailed, RouteInvalid


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca` a client must show a certificate of one of its authorities (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class SinkRule:
    """What the service must know of a sink: whom it serves, and whether it refuses events when it is too far behind.

    `projects` are slugs or ids; None: all. `use` is its kind. One that is not enabled is only shown. `route` picks its
    events; None: all of them. `route_source` is a route that is compiled where it is first asked.
    """

    name: str
    refuses_when_full: bool
    projects: frozenset[str] | None = None
    use: str = ""
    enabled: bool = True
    route: Route | None = None
    route_source: str | None = None

    def serves(self, project_id: str, slug: str) -> bool:
        return self.projects is None or project_id in self.projects or slug in self.projects

    def takes(self, event: event_pb2.Event) -> bool:
        """Whether its route takes the event."""
        try:
            route = self.route if self.route_source is None else _compiled(self.route_source)
            return route is None or route.takes(event)
        except (RouteFailed, RouteInvalid):
            return False


_compiled = lru_cache(1_000)(Route)


@dataclass(frozen=True, slots=True)
class Config:
    """`grpc_port` 0 takes a free port; `ready_file` then gets the address, as {"grpc": "HOST:PORT"}.

    `gateway_socket` is where gateways of the same machine find it, without TLS. `first_start_file` gets the keys of the
    default project, once, when it is made. `log_bound_bytes` is how much of a project a sink may leave unsettled.
    `tenant_rules` are what projects' own sinks may do, and `secrets_keys` encrypt their secrets, the first of them.
    Counters are copied to the control DB every `copy_seconds`, and one more at most. What is known of keys is trusted
    for `trust_seconds` while the control DB is away. `metrics_port` None: no metrics are served.
    """

    grpc_host: str
    grpc_port: int
    admin_socket: Path
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    gateway_token: str = field(repr=False)
    first_start_file: Path
    ready_file: Path | None = None
    gateway_socket: Path | None = None
    tls: TlsFiles | None = None
    limits: RateLimits = field(default_factory=RateLimits)
    public_route: PublicRoute = field(default_factory=lambda: PublicRoute("default"))
    sinks: tuple[SinkRule, ...] = ()
    tenant_rules: TenantRules = field(default_factory=lambda: TenantRules(frozenset()))
    secrets_keys: tuple[bytes, ...] = field(default=(), repr=False)
    log_bound_bytes: int = 256 * 1024 * 1024
    copy_seconds: float = 9.0
    trust_seconds: float = 15 * 60.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    drain_seconds: float = 10.0
    store_url: str | None = field(default=None, repr=False)
    """Of the store that queries are asked; None: there is none."""
    sessions: SessionTerms = field(default_factory=SessionTerms)
    attempts: AttemptLimits = field(default_factory=AttemptLimits)
    jwt: tuple[JwtIssuer, ...] = ()
    owner_email: str = "owner@localhost"
    """Whose account the first start makes."""
