"""The schema of headgate.toml. `To` names where a setting goes."""

from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator

from headgate_cli.settings.accounts import AccountSettings, JwtSettings
from headgate_cli.settings.destination import To
from headgate_cli.settings.section import Rate, Section
from headgate_cli.settings.sinks import DEFAULT_SINKS, STORE_SINK, SinkSettings
from headgate_cli.settings.values import (
    AddressSetting,
    NetworkSetting,
    PathSetting,
    RateSetting,
    SecondsSetting,
    SecretsKeySetting,
)


class HttpSettings(Section):
    """Where the JSON APIs are served."""

    address: Annotated[AddressSetting, To("gateway.http")] = "127.0.0.1:8080"
    """HOST:PORT the gateway listens on. Port 0 takes a free port; the `ready` line shows it."""

    idle: Annotated[SecondsSetting, To("gateway.keep_alive_seconds")] = 65
    """How long a connection without a request is kept. Set it longer than the idle time of the load balancer in front (commonly 60 s, up to 600 s), or requests meet connections that are being closed."""  # noqa: E501

    connections: Annotated[int, To("gateway.max_connections")] = Field(default=4096, ge=1)
    """How many connections a gateway holds. Beyond them an idle one is closed; where none is idle, the new one is answered 503."""  # noqa: E501

    bodies: Annotated[int, To("gateway.body.bodies")] = Field(default=1000, ge=1)
    """How many request bodies may be arriving at once; one more is answered 503. A body that arrives together with its headers does not count."""  # noqa: E501

    body_memory: Annotated[ByteSize, To("gateway.body.held_bytes")] = ByteSize(128 * 1024**2)
    """Memory that arriving bodies may take together; what would take more is answered 503."""


class GrpcSettings(Section):
    """Where the gRPC API is served. Gateways on other machines connect here."""

    address: Annotated[AddressSetting, To("service.grpc")] = "127.0.0.1:8081"
    """HOST:PORT the service listens on. Port 0 takes a free port; the `ready` line shows it."""


class GatewaySettings(Section):
    """How a gateway and a service that run separately connect. `headgate up` needs none of it."""

    service: Annotated[str | None, To("gateway.service_address")] = None
    """gRPC target of the service that this gateway calls, such as `10.0.0.5:8081`. Default: the address in [grpc]."""

    service_ca: Annotated[PathSetting | None, To("gateway.service_tls.authority")] = None
    """PEM file with the CA of the service's certificate. Absent: the service is called without TLS."""

    certificate: Annotated[PathSetting | None, To("gateway.service_tls.certificate")] = None
    """PEM file with the client certificate for a service that requires one (mTLS)."""

    key: Annotated[PathSetting | None, To("gateway.service_tls.key")] = None
    """PEM file with the private key of `certificate`."""

    token: Annotated[str | None, To("gateway.gateway_token", "service.gateway_token")] = Field(default=None, repr=False)
    """Secret shared by the service and its gateways. Set it in the environment rather than in the file."""

    dialects: Annotated[tuple[str, ...], To("gateway.dialects")] = ()
    """Plugins whose ingestion APIs are served besides the built-in ones: names of entry points in `headgate.dialects.v1`."""  # noqa: E501

    in_process: bool = False
    """Whether the gateway checks and appends events itself, without a call to the service. It then needs Redis, the control database and all settings of sinks and limits, as the service does."""  # noqa: E501


class ServiceSettings(Section):
    """The process that authenticates, limits, counts and stores."""

    metrics: Annotated[AddressSetting | None, To("service.metrics")] = None
    """HOST:PORT of its Prometheus metrics. Absent: not served."""

    connection_age: Annotated[SecondsSetting | None, To("service.connections.age_seconds")] = None
    """How long a gRPC client keeps a connection before it has to make another, so that clients spread over several services behind a balancer. Absent: as long as it likes."""  # noqa: E501

    connection_grace: Annotated[SecondsSetting | None, To("service.connections.grace_seconds")] = None
    """How long calls on a connection that came of age may take to end. A stream of events ends by itself when it is as old as the shorter of the two. Absent: as long as `connection_age`."""  # noqa: E501

    connection_calls: Annotated[int, To("service.connections.calls")] = Field(default=1000, gt=0)
    """gRPC calls that one connection may have under way at once; a client waits with more."""

    key_streams: Annotated[int, To("service.connections.streams")] = Field(default=100, gt=0)
    """Streams of events that one key may have open at one service."""


class ForwarderSettings(Section):
    """The process that writes events to sinks."""

    metrics: Annotated[AddressSetting | None, To("forwarder.metrics")] = None
    """HOST:PORT of its Prometheus metrics. Absent: not served. (The gateway serves its own at `/metrics`.)"""

    plugins: Annotated[tuple[str, ...], To("forwarder.plugins")] = ()
    """Plugins to load for their hooks, besides those that sinks use: names of entry points in `headgate.sinks.v1`."""

    plugin_environment: Annotated[tuple[str, ...], To("forwarder.plugin_environment")] = ()
    """Environment variables, such as `AWS_*`, that the processes of third-party plugins get. They get `PATH`, `HOME`, `LANG`, `TZ` and the like in any case, and what `env:NAME` in a sink's `config` names; never Headgate's own secrets."""  # noqa: E501


class RedisSettings(Section):
    """The Redis that holds the log, the limits and the counters."""

    url: Annotated[str | None, To("service.redis_url", "forwarder.redis_url")] = Field(default=None, repr=False)
    """`redis://`, `rediss://` or `unix://` URL of your own server. It must be durable (`appendonly yes`, `appendfsync always`) and must not evict (`maxmemory-policy noeviction`). Absent: `headgate up` runs one in its data directory."""  # noqa: E501

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        from headgate_service.redis.url import check_redis_url

        return None if url is None else check_redis_url(url)

    wait_replicas: Annotated[int, Field(ge=0, le=16), To("service.wait_replicas")] = 0
    """Replicas of your own Redis that must have an event before it is acknowledged. Where fewer have it after a second, the answer is 503. It narrows what a failover can lose."""  # noqa: E501

    max_memory: ByteSize = ByteSize(2 * 1024**3)
    """Memory the embedded Redis may use. From 80 % on, fewer settled events are kept for replay; when it is full of events that sinks have yet to get, events are answered 503."""  # noqa: E501


class ControlSettings(Section):
    """The database of projects and keys."""

    database_url: str | None = Field(default=None, repr=False)
    """`postgresql://USER:PASSWORD@HOST/DATABASE` (`pip install headgate[postgres]`). Services on several machines may share it. Absent: an SQLite file in the data directory."""  # noqa: E501

    secrets_key: SecretsKeySetting | None = Field(default=None, repr=False)
    """Key that encrypts the secrets of project sinks: 32 random bytes in base64, the same for every process. To rotate it, give several separated by commas: the first encrypts, all of them decrypt, and the next start of the service re-encrypts with the first. Absent: `secrets.key` in the data directory, created at the first start."""  # noqa: E501


class DeploySettings(Section):
    """What projects may deploy."""

    sinks: Annotated[tuple[Literal["webhook", "posthog", "mixpanel", "segment"], ...], To("project_sinks.kinds")] = (
        "webhook",
    )
    """Kinds of sinks that projects may deploy. Only kinds that post to a URL can be listed. Empty: projects deploy no sinks."""  # noqa: E501

    allow_private: Annotated[bool, To("project_sinks.allow_private")] = False
    """Whether project sinks may post to private networks, including this machine. Set it only if every project is yours. Cloud metadata addresses stay blocked."""  # noqa: E501


class StoreSettings(Section):
    """The analytics store, where every event can be queried."""

    enabled: bool = True
    """If false, `headgate up` runs no store, and the sink `store` is off unless `url` is set."""

    url: Annotated[str | None, To("service.store_url")] = Field(default=None, repr=False)
    """`http[s]://USER:PASSWORD@HOST:PORT/DATABASE` of your own ClickHouse server (the database must exist), or `unix:PATH` of the socket of a `headgate store`. Absent: `headgate up` runs one in its data directory."""  # noqa: E501

    address: AddressSetting | None = None
    """HOST:PORT where the embedded store serves ClickHouse clients, besides its Unix socket. The user is `headgate`, the password is in `store.key` in the data directory. Absent: not served."""  # noqa: E501

    max_memory: Annotated[ByteSize, To("store.memory")] = ByteSize(2 * 1024**3)
    """Memory of the embedded store's engine. One statement may use half of it."""

    query_seconds: Annotated[SecondsSetting, To("store.query_seconds")] = 60
    """Time limit of a query in the embedded store, unless the client sets `max_execution_time`."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith("unix:"):
            from headgate_sinks.transport.clickhouse import StoreAddress

            StoreAddress.parse(url)
        return url


class LimitSettings(Section):
    """What a client may send unless its project sets another limit."""

    rate: Annotated[RateSetting, To("service.limits.keys")] = Rate(requests=1000, window_seconds=60)
    """Requests per key in a window, for the HTTP APIs that take a key."""

    codcompass_rate: Annotated[RateSetting | None, To("service.limits.addresses")] = None
    """Requests per client address in a window for APIs that have no keys, as Codcompass. Absent: no limit."""

    grpc_rate: Annotated[RateSetting | None, To("service.limits.grpc")] = None
    """Requests per key in a window over gRPC. Absent: no limit."""

    log_bytes: Annotated[ByteSize, To("service.log_bound_bytes", "forwarder.backlog_bytes")] = ByteSize(256 * 1024**2)
    """Bytes of one project that may wait for one sink; beyond that the sink's `when_full` decides."""

    dead_letter_bytes: Annotated[ByteSize, To("forwarder.dead_letter_bytes")] = ByteSize(16 * 1024**2)
    """Bytes of Redis's memory for one project's dead letters of one sink. Beyond it an event is counted as dead and its letter is not kept."""  # noqa: E501

    dead_letter_total_bytes: Annotated[ByteSize, To("forwarder.dead_letter_total_bytes")] = ByteSize(128 * 1024**2)
    """The same, over all projects and sinks. Over it the projects that take the most lose their oldest dead letters."""

    remembered_bytes: Annotated[ByteSize, To("service.remembered_bytes")] = ByteSize(64 * 1024**2)
    """Bytes of Redis's memory for one project's event ids (84 each) and idempotency keys (140 each) of the last 24 hours. Over it the oldest are forgotten; at least the newest three quarters stay."""  # noqa: E501

    remembered_total_bytes: Annotated[ByteSize, To("service.remembered_total_bytes")] = ByteSize(256 * 1024**2)
    """The same, over all projects. Over it the projects that take the most forget their oldest."""


class TenantSettings(Section):
    """What people and organisations may make and ask. None of it binds the operator."""

    projects: Annotated[int, To("service.tenants.projects")] = Field(default=100, gt=0)
    """Projects of an organisation. Deleted ones count for a day after they were made."""

    keys: Annotated[int, To("service.tenants.keys")] = Field(default=100, gt=0)
    """Keys of a project. Revoked ones count for a day after they were made."""

    deploys: Annotated[int, To("service.tenants.deploys")] = Field(default=200, gt=0)
    """Versions of a project's config that are kept. A deploy deletes the oldest beyond them."""

    invitations: Annotated[int, To("service.tenants.invitations")] = Field(default=100, gt=0)
    """Open invitations of a project."""

    calls: Annotated[RateSetting, To("service.tenants.calls")] = Rate(requests=3000, window_seconds=60)
    """Calls of the app API per person, key or token in a window, counted by each service for itself."""

    organisation_calls: Annotated[RateSetting, To("service.tenants.organisation_calls")] = Rate(
        requests=15000, window_seconds=60
    )
    """The same, for all of an organisation together."""

    ledger_keep: Annotated[SecondsSetting, To("service.tenants.ledger_keep_ms")] = 800 * 86400
    """How long the hours of the ledger are kept, which `headgate usage` shows."""

    audit_keep: Annotated[SecondsSetting, To("service.tenants.audit_keep_ms")] = 400 * 86400
    """How long entries of the audit log are kept, and what is known of revoked keys."""


class LogSettings(Section):
    """How long events that every sink has settled stay in the log for replay."""

    keep: Annotated[SecondsSetting, To("forwarder.keep_seconds")] = 86400
    """How long they are kept at most."""

    keep_bytes: Annotated[ByteSize, To("forwarder.keep_bytes")] = ByteSize(1024**3)
    """How many bytes are kept at most, over all projects."""


class HttpTlsSettings(Section):
    """TLS of the JSON APIs. Absent: plain HTTP, for use behind a proxy that terminates TLS."""

    certificate: PathSetting
    """PEM file with the certificate and its chain."""

    key: PathSetting
    """PEM file with the private key."""


class GrpcTlsSettings(HttpTlsSettings):
    """TLS of the gRPC API. Absent: plain text."""

    client_ca: PathSetting | None = None
    """PEM file with the CAs of client certificates. If set, clients must present one (mTLS)."""


class TlsSettings(Section):
    """Certificates. Relative paths start at the folder of headgate.toml."""

    http: Annotated[HttpTlsSettings | None, To("gateway.http_tls")] = None
    """TLS of the JSON APIs."""

    grpc: Annotated[GrpcTlsSettings | None, To("service.tls")] = None
    """TLS of the gRPC API."""


class ProxySettings(Section):
    """The proxies in front of the gateway."""

    trusted: tuple[NetworkSetting, ...] = ()
    """Address ranges, such as `10.0.0.0/8`, whose `X-Forwarded-For` and `Forwarded` headers are trusted."""


class CodcompassSettings(Section):
    """Which project the Codcompass API writes to; it has no keys."""

    project: str = "default"
    """The project's slug."""

    origins: dict[str, str] = Field(default={})
    """Host of a page's `Origin` -> slug of the project that gets its events instead."""


class Settings(Section):
    """Everything headgate.toml may hold. All of it is optional."""

    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    gateway: GatewaySettings = GatewaySettings()
    service: ServiceSettings = ServiceSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    redis: RedisSettings = RedisSettings()
    control: ControlSettings = ControlSettings()
    store: StoreSettings = StoreSettings()
    deploy: DeploySettings = DeploySettings()
    limits: LimitSettings = LimitSettings()
    tenants: TenantSettings = TenantSettings()
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
    proxies: ProxySettings = ProxySettings()
    codcompass: Annotated[CodcompassSettings, To("service.public_route")] = CodcompassSettings()
    accounts: AccountSettings = AccountSettings()
    jwt: tuple[JwtSettings, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()

    @property
    def running_sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks to run: the defaults, replaced by those of the same name, without the disabled ones."""
        return tuple(sink for sink in self.known_sinks if sink.enabled)

    @property
    def known_sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks to run and those that are disabled."""
        defaults = DEFAULT_SINKS if self.store.url is None else (*DEFAULT_SINKS, STORE_SINK)
        sinks = {sink.name: sink for sink in (*defaults, *self.sinks)}.values()
        # The store's own `config` comes first.
        url = {} if self.store.url is None else {"url": self.store.url}
        return tuple(
            sink.model_copy(update={"config": url | sink.config}) if sink.use == "store" else sink for sink in sinks
        )
