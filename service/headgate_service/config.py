"""What a service process is told at its start; it reads nothing else of the world around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from headgate_service.model.api import Api
from headgate_service.model.jwt_issuer import JwtIssuer
from headgate_service.model.rate_limit import RateLimit
from headgate_service.model.sink import SinkSpec


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """Where events of the API without credentials go: the project of the Origin's host, else the default one.

    Projects are named by slug or id.
    """

    project: str
    origins: Mapping[str, str] = field(default_factory=dict)

    def project_for(self, origin: str) -> str:
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            # What is not an origin at all is not an origin of the map either.
            host = ""
        return self.origins.get(host, self.project)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Which rate limit applies where. None: none.

    `keys` is for the HTTP APIs that take a key and `grpc` for internal callers, unless the project's plan sets another;
    `addresses` is per client address, for an API that takes no credential and knows no one.
    """

    keys: RateLimit | None = None
    addresses: RateLimit | None = None
    grpc: RateLimit | None = None

    def of(self, api: Api, plan: RateLimit | None) -> RateLimit | None:
        if not api.key_kinds:
            return self.addresses
        return plan or (self.grpc if api.internal else self.keys)


_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """Milliseconds. A session ends `idle_ms` after its last use, and `longest_ms` after its start in any case; a CLI's
    access token `cli_ms` after its making. `once_ms` is how long a one-time token waits to be used."""

    idle_ms: int = _DAY_MS
    longest_ms: int = 14 * _DAY_MS
    cli_ms: int = 90 * _DAY_MS
    once_ms: int = 10 * _MINUTE_MS

    @property
    def note_ms(self) -> int:
        """How old the noted time of the last use may be: each note is a write."""
        return min(5 * _MINUTE_MS, self.idle_ms // 10)


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """Failed attempts to sign in, in a window that starts with the first one.

    `account` is per account and address, `address` per address. After `anywhere` at an account, from wherever, each
    one but from known addresses must wait, up to the window of `account`.
    """

    account: RateLimit = field(default_factory=lambda: RateLimit(10, 15 * _MINUTE_MS))
    anywhere: int = 30
    address: RateLimit = field(default_factory=lambda: RateLimit(50, 15 * _MINUTE_MS))


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What people and organisations may make and ask, none of which binds the operator.

    `projects` is per organisation. `keys`, open `invitations` and `deploys` (versions that are kept) are per project.
    `calls` is per person, key or token, `organisation_calls` for all of an organisation together. Rows of the ledger
    and of the audit log are deleted once they are so old.
    """

    projects: int = 100
    keys: int = 100
    deploys: int = 200
    invitations: int = 100
    calls: RateLimit = field(default_factory=lambda: RateLimit(3_000, _MINUTE_MS))
    organisation_calls: RateLimit = field(default_factory=lambda: RateLimit(15_000, _MINUTE_MS))
    ledger_keep_ms: int = 800 * _DAY_MS
    audit_keep_ms: int = 400 * _DAY_MS


HTTP_SINKS = frozenset({"webhook", "posthog", "mixpanel", "segment"})
"""Kinds that do nothing but post to a URL, behind the address guard."""


@dataclass(frozen=True, slots=True)
class ProjectSinkRules:
    """`kinds` are those that projects may use, of HTTP_SINKS; `allow_private` lets their sinks connect to private
    networks, loopback included. Raises ValueError."""

    kinds: frozenset[str] = frozenset({"webhook"})
    allow_private: bool = False

    def __post_init__(self) -> None:
        if unsafe := sorted(self.kinds - HTTP_SINKS):
            raise ValueError(
                f"{', '.join(unsafe)}: no sink that projects may be let use; these are {', '.join(sorted(HTTP_SINKS))}"
            )


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca` a client must show a certificate of one of its authorities (mTLS)."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectionTerms:
    """Of the public gRPC port. Connections are closed `age_seconds` after they were made, so that clients come to
    others behind a balancer, and calls have `grace_seconds` (None: as long again) to end. A connection has `calls` at
    once, and a key `streams` of StreamEvents."""

    age_seconds: float | None = None
    grace_seconds: float | None = None
    calls: int = 1_000
    streams: int = 100

    @property
    def grace(self) -> float | None:
        return self.age_seconds if self.grace_seconds is None else self.grace_seconds

    @property
    def stream_seconds(self) -> float | None:
        """How long a stream may last, to end in time on whatever connection it was begun."""
        return None if self.age_seconds is None else min(self.age_seconds, self.grace or 0.0)


@dataclass(frozen=True, slots=True)
class Config:
    """`grpc_port` 0 takes a free port; `ready_file` then gets the address, as {"grpc": "HOST:PORT"}.

    `gateway_socket` is where gateways of the same machine find it, without TLS. `first_start_file` gets the keys of the
    default project, once, when it is made. `log_bound_bytes` is how much of a project a sink may leave unsettled.
    `remembered_bytes` are the most that the event ids and idempotency keys of a project may take, and
    `remembered_total_bytes` those of all projects. `wait_replicas`: so many replicas must have an event before it is
    acknowledged. `project_sink_rules` are what projects' own sinks may do, and `secrets_keys` encrypt their secrets,
    the first of them. Counters are copied to the control DB every `copy_seconds`, and one more at most. What is known
    of keys is trusted for `trust_seconds` while the control DB is away. `metrics_port` None: no metrics are served.
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
    sinks: tuple[SinkSpec, ...] = ()
    project_sink_rules: ProjectSinkRules = field(default_factory=lambda: ProjectSinkRules(frozenset()))
    secrets_keys: tuple[bytes, ...] = field(default=(), repr=False)
    log_bound_bytes: int = 256 * 1024 * 1024
    remembered_bytes: int = 64 * 1024 * 1024
    remembered_total_bytes: int = 256 * 1024 * 1024
    wait_replicas: int = 0
    copy_seconds: float = 9.0
    trust_seconds: float = 15 * 60.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    drain_seconds: float = 10.0
    connections: ConnectionTerms = field(default_factory=ConnectionTerms)
    store_url: str | None = field(default=None, repr=False)
    """Of the store that queries are asked; None: there is none."""
    sessions: SessionTerms = field(default_factory=SessionTerms)
    attempts: AttemptLimits = field(default_factory=AttemptLimits)
    tenants: TenantLimits = field(default_factory=TenantLimits)
    jwt: tuple[JwtIssuer, ...] = ()
    owner_email: str = "owner@localhost"
    """Whose account the first start makes."""
