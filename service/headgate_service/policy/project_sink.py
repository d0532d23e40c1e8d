"""A sink that a project's own config brings: its form. What a tenant may say in it is judged in `tenant_sinks`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    StrictStr,
    WithJsonSchema,
)

from headgate_service.policy.config_part import ConfigPart

STORED = "$hash"
MAX_SECRET_CHARACTERS = 4_096
MAX_SECRETS = 20
MASK = "**********"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret that was deployed before, by its hash."""

    hash: str


Secret = SecretStr | StoredSecret
Secrets = Secret | tuple[Secret, ...] | Mapping[str, Secret]
"""A secret, several at once, or several by name: in the shape of the setting that it is."""


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 40 of a-z, 0-9 and hyphens, the first no hyphen")
    return name


def _secrets(given: Any) -> Secrets:
    if isinstance(given, list | tuple):
        return tuple(map(_secret, _few(given)))
    if isinstance(given, Mapping) and set(given) != {STORED}:
        return {str(name): _secret(one) for name, one in _few(given).items()}
    return _secret(given)


def _few(given: Any) -> Any:
    if not 1 <= len(given) <= MAX_SECRETS:
        raise ValueError(f"must hold 1 to {MAX_SECRETS} secrets")
    return given


def _secret(given: Any) -> Secret:
    if isinstance(given, SecretStr | StoredSecret):
        return given
    if isinstance(given, Mapping) and set(given) == {STORED}:
        if not isinstance(given[STORED], str) or not _HASH.fullmatch(given[STORED]):
            raise ValueError(f"`{STORED}` must be the 32 hexadecimal digits that a deploy shows of a secret")
        return StoredSecret(given[STORED])
    # The message names no value: it would be the secret.
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_SECRET_CHARACTERS:
        raise ValueError(f"must be a text of 1 to {MAX_SECRET_CHARACTERS} characters, or {{{STORED!r}: its hash}}")
    return SecretStr(given)


def _shown(secrets: Secrets) -> Any:
    if isinstance(secrets, tuple):
        return [_shown(one) for one in secrets]
    if isinstance(secrets, Mapping):
        return {name: _shown(one) for name, one in secrets.items()}
    return {STORED: secrets.hash} if isinstance(secrets, StoredSecret) else MASK


_ONE = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": MAX_SECRET_CHARACTERS},
        {
            "type": "object",
            "properties": {STORED: {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
            "required": [STORED],
            "additionalProperties": False,
        },
    ]
}
_SECRET_SCHEMA = {
    "anyOf": [
        *_ONE["anyOf"],
        {"type": "array", "items": _ONE, "minItems": 1, "maxItems": MAX_SECRETS},
        {"type": "object", "additionalProperties": _ONE, "minProperties": 1, "maxProperties": MAX_SECRETS},
    ]
}
SecretSetting = Annotated[Any, BeforeValidator(_secrets), PlainSerializer(_shown), WithJsonSchema(_SECRET_SCHEMA)]


class FieldChoice(ConfigPart):
    """What a sink gets to see of its events. Id, name, times and project go to every sink."""

    include: tuple[StrictStr, ...] | None = Field(
        default=None, max_length=200, description="Only these fields, such as `user_id` or `properties.card.type`."
    )
    exclude: tuple[StrictStr, ...] = Field(default=(), max_length=200, description="None of these fields.")
    rename: dict[StrictStr, StrictStr] = Field(
        default_factory=dict, max_length=200, description="Properties to rename: path -> the name it gets in its place."
    )


class ProjectSinkConfig(ConfigPart):
    """A destination of the project's own events."""

    name: Annotated[StrictStr, AfterValidator(_valid_name)] = Field(
        description="Its name: 1 to 40 of a-z, 0-9 and inner hyphens. It is the sink's identity: a new name is a new"
        " sink, and the same name in a later version goes on where it was."
    )
    use: StrictStr = Field(description="Its kind: one of those that the operator lists in `[deploy] sinks`.")
    route: StrictStr | None = Field(
        default=None,
        description='A CEL expression over `event` and `properties`, such as `event.name == "purchase"`: it gets the'
        " events of which it is true. Absent: all.",
    )
    fields: FieldChoice | None = Field(default=None, description="What it gets to see of them. Absent: everything.")
    when_full: Literal["refuse", "expire"] = Field(
        default="expire",
        description="When too much waits for it: `refuse` answers the project's events 503, `expire` gives up the"
        " oldest, counted as dead.",
    )
    config: dict[StrictStr, Any] = Field(
        default_factory=dict, description="The settings of its kind, without those that are secret."
    )
    secrets: dict[StrictStr, SecretSetting] = Field(
        default_factory=dict,
        max_length=MAX_SECRETS,
        description="The settings of its kind that are secret, by name. In headgate.yaml, `env:NAME` and `file:PATH`"
        " are read where `headgate deploy` runs. A deployed config shows each secret as its hash,"
        f' `{{"{STORED}": ...}}`, by which a later one may name it again.',
    )

    def with_secrets(self, change: Callable[[Secret], Secret]) -> "ProjectSinkConfig":
        """The sink with every secret replaced by what `change` makes of it."""
        return self.model_copy(update={"secrets": {name: _mapped(one, change) for name, one in self.secrets.items()}})

    def settings(self, reveal: Callable[[Secret], str]) -> dict[str, Any]:
        """The whole of its kind's settings, with its secrets."""
        return {**self.config, **{name: _mapped(one, reveal) for name, one in self.secrets.items()}}

    def sent(self) -> dict[str, Any]:
        """The sink as JSON, with its secrets."""
        told = {name: _mapped(one, _sent) for name, one in self.secrets.items()}
        return self.model_dump(mode="json", by_alias=True) | {"secrets": told}

    def each_secret(self) -> Iterator[tuple[tuple[str | int, ...], Secret]]:
        """Every secret with its place in `secrets`."""
        for name, secrets in self.secrets.items():
            if isinstance(secrets, tuple):
                yield from (((name, place), one) for place, one in enumerate(secrets))
            elif isinstance(secrets, Mapping):
                yield from (((name, inner), one) for inner, one in secrets.items())
            else:
                yield (name,), secrets


def _sent(secret: Secret) -> Any:
    return {STORED: secret.hash} if isinstance(secret, StoredSecret) else secret.get_secret_value()


def _mapped(secrets: Secrets, change: Callable[[Secret], Any]) -> Any:
    if isinstance(secrets, tuple):
        return tuple(map(change, secrets))
    if isinstance(secrets, Mapping):
        return {name: change(one) for name, one in secrets.items()}
    return change(secrets)
