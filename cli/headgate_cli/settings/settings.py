"""headgate.toml: the one schema of it, and the only reader of it and of the environment."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, Field, ValidationError, field_validator

from headgate_cli.settings.accounts import AccountSettings, JwtSettings
from headgate_cli.settings.section import Rate, Section, section_of
from headgate_cli.settings.sinks import DEFAULT_SINKS, STORE_SINK, SinkSettings
from headgate_cli.settings.values import (
    AddressSetting,
    NetworkSetting,
    PathSetting,
    RateSetting,
    SecondsSetting,
    SecretsKeySetting,
)

DEFAULT_FILE = Path("headgate.toml")
# What may also be set from outside the file, because it is secret or belongs to the machine: variable -> setting.
ENVIRONMENT = {
    "HEADGATE_HTTP_ADDRESS": ("http", "address"),
    "HEADGATE_GRPC_ADDRESS": ("grpc", "address"),
    "HEADGATE_REDIS_URL": ("redis", "url"),
    "HEADGATE_DATABASE_URL": ("control", "database_url"),
    "HEADGATE_STORE_URL": ("store", "url"),
    "HEADGATE_STORE_ENABLED": ("store", "enabled"),
    "HEADGATE_SECRETS_KEY": ("control", "secrets_key"),
    "HEADGATE_GATEWAY_TOKEN": ("gateway", "token"),
}


class SettingsInvalid(Exception):
    """The settings cannot be used; the message names the file or variable, each setting, and what to do."""


class HttpSettings(Section):
    """Where the JSON APIs are served."""

    address: AddressSetting = "127.0.0.1:8080"
    """HOST:PORT the gateway listens on. Port 0: any free one; the `ready` line says which."""


class GrpcSettings(Section):
    """Where the gRPC API is served, and found by gateways of other machines."""

    address: AddressSetting = "127.0.0.1:8081"
    """HOST:PORT the service listens on. Port 0: any free one; the `ready` line says which."""


class GatewaySettings(Section):
    """How gateways and services that run apart know each other. `headgate up` needs none of it."""

    service: str | None = None
    """gRPC target of the service that this gateway calls, as `10.0.0.5:8081`. Absent: the address of [grpc]."""

    service_ca: PathSetting | None = None
    """PEM file with the authority of the service's certificate. Absent: the service is called without TLS."""

    certificate: PathSetting | None = None
    """PEM file with the certificate that this gateway shows to a service that asks for one (mTLS)."""

    key: PathSetting | None = None
    """PEM file with its private key."""

    token: str | None = Field(default=None, repr=False)
    """The secret by which the service knows its gateways, the same on both sides. Better kept in the environment."""

    in_process: bool = False
    """Whether the gateway judges and appends events by itself, with one process fewer on their way. It then needs what the service needs: Redis, the control database and every setting of sinks and limits."""  # noqa: E501


class ServiceSettings(Section):
    """The process that authenticates, limits, counts and stores."""

    metrics: AddressSetting | None = None
    """HOST:PORT of its Prometheus metrics. Absent: none are served."""


class ForwarderSettings(Section):
    """The process that writes events to sinks."""

    metrics: AddressSetting | None = None
    """HOST:PORT of its Prometheus metrics. Absent: none are served. (The gateway's are at `/metrics`.)"""

    plugins: tuple[str, ...] = ()
    """Plugins to load for their hooks, besides those that sinks use: names of entry points in `headgate.sinks.v1`."""


class RedisSettings(Section):
    """The Redis that holds the log, the limits and the counters."""

    url: str | None = Field(default=None, repr=False)
    """`redis://`, `rediss://` or `unix://` URL of a server of your own, which must be durable (`appendonly yes`, `appendfsync always`) and never evict (`maxmemory-policy noeviction`). Absent: `headgate up` runs one in its data directory."""  # noqa: E501

    max_memory: ByteSize = ByteSize(2 * 1024**3)
    """Memory the embedded Redis may use. When it is used up, events are answered 503 until sinks have caught up."""


class ControlSettings(Section):
    """The database of projects and keys."""

    database_url: str | None = Field(default=None, repr=False)
    """`postgresql://USER:PASSWORD@HOST/DATABASE` (`pip install headgate[postgres]`), which any number of services on any machines may share. Absent: an SQLite file in the data directory."""  # noqa: E501

    secrets_key: SecretsKeySetting | None = Field(default=None, repr=False)
    """What the secrets of projects' own sinks are encrypted with: the base64 of 32 random bytes, the same for every process. Several, separated by commas, change it: the first encrypts, all of them decrypt, and a service that starts encrypts anew what it finds under an older one. Absent: `secrets.key` in the data directory, made at the first start."""  # noqa: E501


class DeploySettings(Section):
    """What projects' own deployed configs may bring."""

    sinks: tuple[Literal["webhook", "posthog", "mixpanel", "segment"], ...] = ("webhook",)
    """The kinds of sinks that projects may deploy. Only these can be listed, which do nothing but post to a URL; none: projects have no sinks of their own."""  # noqa: E501

    allow_private: bool = False
    """Whether projects' own sinks may post to private networks, this machine included: only where every project is the operator's. A cloud's metadata stays closed."""  # noqa: E501


class StoreSettings(Section):
    """The analytics store, where every event can be queried."""

    enabled: bool = True
    """False: `headgate up` runs none, and the sink `store` is off unless there is a `url`."""

    url: str | None = Field(default=None, repr=False)
    """`http[s]://USER:PASSWORD@HOST:PORT/DATABASE` of a ClickHouse server of your own, whose database must be there; or `unix:PATH` of the socket of a `headgate store`. Absent: `headgate up` runs one in its data directory."""  # noqa: E501

    address: AddressSetting | None = None
    """HOST:PORT where the embedded store is served to clients of ClickHouse, besides its Unix socket. They name the user `headgate` and the password in `store.key` of the data directory. Absent: nowhere."""  # noqa: E501

    max_memory: ByteSize = ByteSize(2 * 1024**3)
    """Memory the embedded store's engine may use; one statement may use half of it."""

    query_seconds: SecondsSetting = 60
    """How long a query of the embedded store may take, unless its client sets `max_execution_time`."""

    @field_validator("url")
    @classmethod
    def _is_of_a_store(cls, url: str | None) -> str | None:
        # What `up` hands to its children is a socket of its own.
        if url is not None and not url.startswith("unix:"):
            from headgate_sinks.transport.clickhouse import StoreAddress

            StoreAddress.parse(url)
        return url


class LimitSettings(Section):
    """What a client may send where its project sets nothing else."""

    rate: RateSetting = Rate(requests=1000, window_seconds=60)
    """Requests per key in a window, for the Xaiku, RealAnalytics and Prompting Company APIs."""

    codcompass_rate: RateSetting | None = None
    """Requests per client address in a window for the Codcompass API, which knows no key. Absent: no limit."""

    grpc_rate: RateSetting | None = None
    """Requests per key in a window over gRPC. Absent: no limit."""

    log_bytes: ByteSize = ByteSize(256 * 1024**2)
    """Bytes of one project that may wait for one sink; then the sink's `when_full` decides."""


class LogSettings(Section):
    """How long events that every sink has settled stay in the log, for replay."""

    keep: SecondsSetting = 86400
    """The longest time, as `24h`."""

    keep_bytes: ByteSize = ByteSize(1024**3)
    """The most bytes, over all projects."""


class HttpTlsSettings(Section):
    """TLS of the JSON APIs. Absent: plain HTTP, for use behind a proxy that ends TLS."""

    certificate: PathSetting
    """PEM file with the certificate and its chain."""

    key: PathSetting
    """PEM file with the private key."""


class GrpcTlsSettings(HttpTlsSettings):
    """TLS of the gRPC API. Absent: plain text."""

    client_ca: PathSetting | None = None
    """PEM file with the authorities whose certificates a client must show (mTLS). Absent: none is asked for."""


class TlsSettings(Section):
    """Certificates. Relative paths start at the folder of headgate.toml."""

    http: HttpTlsSettings | None = None
    """TLS of the JSON APIs."""

    grpc: GrpcTlsSettings | None = None
    """TLS of the gRPC API."""


class ProxySettings(Section):
    """The proxies in front of the gateway."""

    trusted: tuple[NetworkSetting, ...] = ()
    """Address ranges, as `10.0.0.0/8`, whose `X-Forwarded-For` and `Forwarded` are believed."""


class CodcompassSettings(Section):
    """Which project the Codcompass API, which knows no key, writes to."""

    project: str = "default"
    """The project's slug."""

    origins: dict[str, str] = Field(default={})
    """Host of a page's `Origin` -> slug of the project its events go to instead."""


class Settings(Section):
    """Everything headgate.toml may hold. All of it may be left out."""

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
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
    proxies: ProxySettings = ProxySettings()
    codcompass: CodcompassSettings = CodcompassSettings()
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
        named = {sink.name: sink for sink in (*defaults, *self.sinks)}
        return tuple(sink.given(url=self.store.url) if sink.use == "store" else sink for sink in named.values())


def read_settings(
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[tuple[str, str], str | None] | None = None,
) -> Settings:
    """Read headgate.toml, then the environment over it, then flags over both.

    `file` None means ./headgate.toml where there is one. `flags` maps (table, setting) to a value, None for not given.
    Raises SettingsInvalid.
    """
    path = file or DEFAULT_FILE
    tables = _load(path) if file is not None or path.is_file() else {}
    sources: dict[tuple[str, str], str] = {}
    outside = {place: (f"${name}", environ.get(name)) for name, place in ENVIRONMENT.items()}
    flagged = {place: (f"--{place[0]}", value) for place, value in (flags or {}).items()}
    for place, (source, value) in [*outside.items(), *flagged.items()]:
        if value:
            table = tables.setdefault(place[0], {})
            if not isinstance(table, dict):
                break  # The schema says it better.
            table[place[1]] = value
            sources[place] = source
    try:
        settings = Settings.model_validate(tables, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_explain(path, sources, fault) for fault in error.errors())) from None
    names = [sink.name for sink in settings.sinks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise SettingsInvalid(f"{path}: sinks: two have the name {name!r}: rename one")
    issuers = [jwt.issuer for jwt in settings.jwt]
    for issuer in sorted({issuer for issuer in issuers if issuers.count(issuer) > 1}):
        raise SettingsInvalid(f"{path}: jwt: two are of the issuer {issuer!r}: keep one")
    return settings


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(f"{path}: there is no such file: check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: is no TOML: {error}") from None


def _explain(path: Path, sources: Mapping[tuple[str, str], str], fault: Any) -> str:
    place: Sequence[str | int] = fault["loc"]
    setting = ".".join(str(part) for part in place)
    source = sources.get((str(place[0]), str(place[1])) if len(place) > 1 else ("", ""), str(path))
    if fault["type"] == "extra_forbidden":
        known = _known(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{source}: {setting}: unknown setting; {hint}"
    if fault["type"] == "missing":
        return f"{source}: {setting}: is required: add it"
    return f"{source}: {setting}: {fault['msg'].removeprefix('Value error, ')}"


def _known(place: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = section_of(model.model_fields[part].annotation) or model
    return list(model.model_fields)
