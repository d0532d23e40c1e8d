"""The compiled config of a project, as it is deployed: one typed model, from which its JSON Schema is made."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    WithJsonSchema,
)

from headgate_service.errors import PolicyInvalid
from headgate_service.failure import Fault
from headgate_service.policy.config_faults import faults_of
from headgate_service.policy.config_part import ConfigPart
from headgate_service.policy.paths import valid_path
from headgate_service.policy.pii import IpRule, PiiAction
from headgate_service.policy.project_sink import ProjectSinkConfig

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|\*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """Matches the origins of a host, whatever their scheme and port where it names none.

    `*.shop.example` matches every host below shop.example, not shop.example itself; `*` every host; `null` the origin
    that browsers send for files and sandboxed frames.
    """

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "OriginPattern":
        """Raises ValueError with what is wrong, for a person to read."""
        scheme, mark, rest = text.strip().lower().rpartition("://")
        if scheme not in ("", "http", "https") or (mark and not scheme):
            raise ValueError("begins with a scheme that is neither http:// nor https://")
        host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
        if not colon:
            host = rest
        if _HOST.fullmatch(host) is None:
            raise ValueError("is not an origin or host: write shop.example, *.shop.example or https://shop.example")
        if colon and not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
            raise ValueError("has a port that is not 1 to 65535")
        return cls(scheme, host, int(port) if colon else _DEFAULT_PORTS.get(scheme))

    def matches(self, origin: str) -> bool:
        """Whether the value of an Origin header is one of them; what is not an origin never is."""
        if origin == "null":
            return self.host == "null" and not self.scheme
        try:
            parts = urlsplit(origin)
            host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return False
        host = f"[{host}]" if ":" in host else host
        if not host or (self.scheme and parts.scheme != self.scheme) or (self.port and port != self.port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return self.host in ("*", host)


FORMAT_VERSION = 1
MAX_BYTES = 512 * 1024
MAX_DEPTH = 64
MAX_NAMES = 1_000
MAX_LISTED = 200
MAX_SINKS = 10
MAX_NAME_CHARACTERS = 200
MAX_STARS = 5


def _valid_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise ValueError(f"must have 1 to {MAX_NAME_CHARACTERS} characters")
    if name.count("*") > MAX_STARS:
        raise ValueError(f"must have at most {MAX_STARS} stars")
    return name


def _valid_origin(text: str) -> str:
    OriginPattern.parse(text)
    return text


def _valid_pii_path(path: str) -> str:
    return valid_path(path, parts_of_urls=True)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number from 0 to 1")
    return value


def _object_or_boolean(value: Any) -> Any:
    if not isinstance(value, Mapping | bool):
        raise ValueError("must be a JSON Schema: an object, or true or false")
    return value


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, str | bool | int | float):
        raise ValueError("must be a string, a number, true, false or null")
    return value


def _variant_id(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number and not (isinstance(value, str) and value):
        raise ValueError("must be a string that is not empty, or a number")
    return value


EventName = Annotated[StrictStr, AfterValidator(_valid_name)]
OriginText = Annotated[StrictStr, AfterValidator(_valid_origin)]
Path = Annotated[StrictStr, AfterValidator(valid_path)]
PiiPath = Annotated[StrictStr, AfterValidator(_valid_pii_path)]
Rate = Annotated[
    float, BeforeValidator(_number), Field(ge=0, le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
InlineSchema = Annotated[Any, BeforeValidator(_object_or_boolean), WithJsonSchema({"type": ["object", "boolean"]})]
VariantId = Annotated[
    Any,
    BeforeValidator(_variant_id),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "number"}]}),
]


class EventRule(ConfigPart):
    """What becomes of events of one name."""

    enabled: StrictBool = Field(
        default=True, description="False: its events are dropped with the reason `switched_off`."
    )
    sample: Rate = Field(
        default=1.0,
        description="The share of users whose events are kept, 0 to 1. The same user's are always kept or always"
        " dropped (as `sampled`), and each kept event has the weight 1 / sample.",
    )
    json_schema: InlineSchema | None = Field(
        default=None,
        alias="schema",
        description="A JSON Schema (2020-12, 2019-09 or draft 7) of the event's properties, as the client sent them."
        " Not recursive, and with no reference out of itself.",
    )
    schema_mode: Literal["monitor", "enforce"] = Field(
        default="monitor", description="`monitor`: what does not fit is kept, with warnings. `enforce`: it is refused."
    )


class IgnoredEnvironments(ConfigPart):
    """Where events come from that are dropped, as `ignored_environment`."""

    origins: Annotated[tuple[OriginText, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="Origins or hosts, such as `localhost`, `*.test` or `http://shop.example:3000`."
    )
    fields: Annotated[dict[Path, tuple[Scalar, ...]], Field(max_length=MAX_LISTED)] = Field(
        default_factory=dict,
        description="Paths of an event, such as `properties.env`, with the values that are ignored.",
    )


class PiiSetting(ConfigPart):
    """What becomes of a value before anything is written anywhere."""

    path: PiiPath = Field(
        description="A text of the event (`user_id`, `page.title`), a part of an address (`page.href.query`,"
        " `page.href.query.email`, `page.href.fragment`), or a path into the properties (`properties.card.number`),"
        " in which an array stands for each of its elements and `*` for any name."
    )
    action: PiiAction = Field(
        description="`drop` it, `hash` it (HMAC-SHA-256 with a key of the project's own, 32 hexadecimal digits), or"
        " `mask` it (`***`)."
    )


class VariantSetting(BaseModel):
    """A variant of an experiment, answered as it stands here: `weight`, `control`, `parts` and whatever else."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: VariantId


class ExperimentSetting(BaseModel):
    """An experiment of `GET /api/v1/experiments`, answered as it stands here."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    variants: Annotated[tuple[VariantSetting, ...], Field(min_length=1, max_length=MAX_LISTED)] = Field(
        description="Its variants, at least one. The `id` of each is a string or a number; a Xaiku client reads"
        " `weight` (a number; without it 5), `control` (true or false) and `parts` (texts by the part's id)."
    )
    test: StrictBool = Field(default=False, description="Only for clients that ask with `X-xaiku-test: true`.")


class ConfigBody(ConfigPart):
    """What headgate.yaml and its compiled form have in common."""

    project: StrictStr | None = Field(
        default=None, description="The slug of the project it is for: it deploys to no other."
    )
    default: EventRule = Field(default=EventRule(), description="Events that none of `events` names.")
    ignored_environments: IgnoredEnvironments = Field(default=IgnoredEnvironments())
    pii: Annotated[tuple[PiiSetting, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="Personal data, dealt with in this order."
    )
    ip: IpRule = Field(
        default=IpRule.KEEP,
        description="`request.client_ip`: `keep` it, `truncate` it (to /24, IPv6 to /48) or `drop` it.",
    )
    origins: Annotated[tuple[OriginText, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="The origins that browsers may send from; none: all. Requests without an Origin pass."
    )
    sinks: Annotated[tuple[ProjectSinkConfig, ...], Field(max_length=MAX_SINKS)] = Field(
        default=(), description="Sinks of the project's own."
    )
    experiments: Annotated[tuple[ExperimentSetting, ...], Field(max_length=MAX_LISTED)] = Field(
        default=(), description="What `GET /api/v1/experiments` answers with."
    )


class CompiledConfig(ConfigBody):
    """What `POST /api/deploy` takes."""

    format_version: Literal[1] = Field(description="The version of this format.")
    events: Annotated[dict[EventName, EventRule], Field(max_length=MAX_NAMES)] = Field(
        default_factory=dict,
        description="Rules by name, or by a pattern with `*`, of which there may be 100. A name's own entry comes"
        " first, then the longest.",
    )

    @classmethod
    def read(cls, config: Any) -> "CompiledConfig":
        """Raises PolicyInvalid with everything that is wrong with the form of a config."""
        if not isinstance(config, dict):
            raise PolicyInvalid([Fault("", "must be an object")])
        if _deeper_than(config, MAX_DEPTH):
            raise PolicyInvalid([Fault("", f"is nested more than {MAX_DEPTH} levels deep")])
        version = config.get("formatVersion")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise PolicyInvalid(
                [Fault("/formatVersion", f"is {version}, and this release knows up to {FORMAT_VERSION}: upgrade it")]
            )
        try:
            read = cls.model_validate(config)
        except ValidationError as error:
            raise PolicyInvalid(faults_of(error, cls)) from None
        if len(orjson.dumps(read.canonical())) > MAX_BYTES:
            raise PolicyInvalid([Fault("", f"is over {MAX_BYTES} bytes of JSON")])
        return read

    def canonical(self) -> dict[str, Any]:
        """The config as a JSON value, with every default in it: equal for configs that mean the same. Secrets that
        are given and not named by their hash are not shown in it."""
        return self.model_dump(mode="json", by_alias=True)

    def sent(self) -> dict[str, Any]:
        """The same with its secrets: for the request that deploys it, and nothing else."""
        return self.canonical() | {"sinks": [sink.sent() for sink in self.sinks]}


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


NO_CONFIG: Mapping[str, Any] = CompiledConfig.read({"formatVersion": FORMAT_VERSION}).canonical()
"""What a project without a deploy is judged by, in effect."""
