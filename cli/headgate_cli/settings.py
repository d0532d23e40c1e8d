"""headgate.toml: the one schema of it, and the only reader of it and of the environment."""

import difflib
import ipaddress
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from headgate_cli.address import Address

DEFAULT_FILE = Path("headgate.toml")
# What may also be set from outside the file, because it is secret or belongs to the machine: variable -> setting.
ENVIRONMENT = {
    "HEADGATE_HTTP_ADDRESS": ("http", "address"),
    "HEADGATE_GRPC_ADDRESS": ("grpc", "address"),
    "HEADGATE_REDIS_URL": ("redis", "url"),
    "HEADGATE_DATABASE_URL": ("control", "database_url"),
    "HEADGATE_GATEWAY_TOKEN": ("gateway", "token"),
}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SettingsInvalid(Exception):
    """The settings cannot be used; the message names the file or variable, each setting, and what to do."""


def parse_rate(value: object) -> object:
    """Read "1000/60s" as 1000 requests in a window of 60 seconds."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*([smhd])\s*", value)
    if found is None or not int(found[1]) or not int(found[2]):
        raise ValueError('write requests and window, both above 0, as "1000/60s"')
    return {"requests": int(found[1]), "window_seconds": int(found[2]) * SECONDS[found[3]]}


def parse_seconds(value: object) -> object:
    """Read "24h" as 86400; a bare integer is seconds."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+)\s*([smhd])\s*", value)
    if found is None:
        raise ValueError('write a number and its unit, s, m, h or d, as "24h"')
    return int(found[1]) * SECONDS[found[2]]


def check_address(text: str) -> str:
    """Hold the text to HOST:PORT."""
    return str(Address.parse(text))


def check_network(text: str) -> str:
    """Hold the text to an address range."""
    return str(ipaddress.ip_network(text, strict=False))


def from_folder(path: Path, info: ValidationInfo) -> Path:
    """Make a relative path start at the folder of the file that names it."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


class Section(BaseModel):
    """A table of headgate.toml: nothing unknown in it, and nothing changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class Rate(Section):
    """So many requests in a window of so many seconds."""

    requests: int = Field(gt=0)
    window_seconds: int = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.requests}/{self.window_seconds}s"


RateSetting = Annotated[Rate, BeforeValidator(parse_rate)]
SecondsSetting = Annotated[int, BeforeValidator(parse_seconds), Field(gt=0)]
AddressSetting = Annotated[str, AfterValidator(check_address)]
PathSetting = Annotated[Path, AfterValidator(from_folder)]
NetworkSetting = Annotated[str, AfterValidator(check_network)]


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
    """SQLAlchemy URL. Absent: an SQLite file in the data directory."""


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

    origins: dict[str, str] = {}
    """Host of a page's `Origin` -> slug of the project its events go to instead."""


class FieldSettings(Section):
    """What the sink gets to see of its events. Id, name, times and project go to every sink. Absent: everything."""

    include: tuple[str, ...] | None = None
    """Only these fields, such as `user_id`, `page.href`, `properties` or `properties.card.type`. Absent: all."""

    exclude: tuple[str, ...] = ()
    """None of these fields."""

    rename: dict[str, str] = {}
    """Properties to rename: path of a property, such as `plan` or `card.type` -> the name it gets in its place."""


class SinkSettings(Section):
    """One destination of events."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    """Its name: 1 to 40 of a-z, 0-9 and inner hyphens. It is the sink's identity: a new name is a new sink."""

    use: str = ""
    """The plugin that writes it: a built-in one, such as `webhook`, or one that an installed package brings. Absent: the one called as the sink is."""  # noqa: E501

    projects: tuple[str, ...] = ("*",)
    """Slugs of the projects it gets, or `["*"]` for all."""

    route: str | None = None
    """CEL expression over `event` and `properties`, such as `event.name == "purchase" && properties.amount > 100.0`: the sink gets the events of which it is true. Absent: all. Its fields are those of `headgate.v1.Event`."""  # noqa: E501

    when_full: Literal["refuse", "expire"] | None = None
    """When `limits.log_bytes` of a project wait for it: `refuse` answers that project's events 503, `expire` gives up the oldest, counted as dead. Absent: what the plugin does, `refuse` for `jsonl` and `expire` for the other built-in ones."""  # noqa: E501

    enabled: bool = True
    """False: it gets nothing and keeps its place in the log, which keeps what follows within `log.keep_bytes`, however old."""  # noqa: E501

    pause_rejecting: bool = True
    """Whether it pauses by itself, and keeps what it has not taken, when it rejects half or more of the last 100 events it got. False: all that it rejects becomes dead letters."""  # noqa: E501

    memory: ByteSize = ByteSize(512 * 1024**2)
    """What the process of a third-party sink may use, on Linux: one that uses more is ended and started again."""

    fields: FieldSettings | None = None
    """What it gets to see of its events. Absent: everything."""

    config: dict[str, Any] = Field(default={}, repr=False)
    """The plugin's own settings, as its page documents them."""

    @property
    def only_projects(self) -> frozenset[str] | None:
        """The slugs it is limited to; None: it gets all."""
        return None if "*" in self.projects else frozenset(self.projects)

    @model_validator(mode="after")
    def _compiles_route(self) -> "SinkSettings":
        if self.route is not None:
            # The library of routes takes 7 MB: it is loaded only where there is one.
            from headgate_service.route import Route, RouteInvalid

            try:
                Route(self.route)
            except RouteInvalid as error:
                raise ValueError(f"`route` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="after")
    def _chooses_fields(self) -> "SinkSettings":
        if self.fields is not None:
            from headgate_service.fields import Fields, FieldsInvalid

            try:
                Fields(self.fields.include, self.fields.exclude, self.fields.rename)
            except FieldsInvalid as error:
                raise ValueError(f"`fields` of the sink {self.name!r}: {error}") from None
        return self

    @model_validator(mode="before")
    @classmethod
    def _named_after_plugin(cls, table: Any) -> Any:
        return {"use": table.get("name", ""), **table} if isinstance(table, dict) else table


class Settings(Section):
    """Everything headgate.toml may hold. All of it may be left out."""

    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    gateway: GatewaySettings = GatewaySettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    redis: RedisSettings = RedisSettings()
    control: ControlSettings = ControlSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
    proxies: ProxySettings = ProxySettings()
    codcompass: CodcompassSettings = CodcompassSettings()
    sinks: tuple[SinkSettings, ...] = ()

    @property
    def running_sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks to run: the defaults, replaced by those of the same name, without the disabled ones."""
        return tuple(sink for sink in self.known_sinks if sink.enabled)

    @property
    def known_sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks to run and those that are disabled."""
        return tuple({sink.name: sink for sink in (*DEFAULT_SINKS, *self.sinks)}.values())


DEFAULT_SINKS = (SinkSettings(name="jsonl", use="jsonl"),)


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


def section_of(annotation: Any) -> type[Section] | None:
    """Find the table that a field's type stands for: itself, optional, or repeated."""
    if isinstance(annotation, type) and issubclass(annotation, Section) and annotation is not Rate:
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next(filter(None, map(section_of, get_args(annotation))), None)
    return None
