"""Reads headgate.toml, the environment and flags, and says what is wrong with them."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from headgate_cli.settings.section import section_of
from headgate_cli.settings.settings import Settings

DEFAULT_FILE = Path("headgate.toml")
# Settings that are secret or belong to the machine: variable -> setting.
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


def read_settings(
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[tuple[str, str], str | None] | None = None,
) -> Settings:
    """Read headgate.toml, then the environment over it, then flags over both.

    `file` None means ./headgate.toml if it exists. `flags` maps (table, setting) to a value, None for not given.
    Raises SettingsInvalid.
    """
    path = file or DEFAULT_FILE
    tables = _load(path) if file is not None or path.is_file() else {}
    sources: dict[tuple[str, str], str] = {}
    variables = {setting: (f"${name}", environ.get(name)) for name, setting in ENVIRONMENT.items()}
    flagged = {setting: (f"--{setting[0]}", value) for setting, value in (flags or {}).items()}
    for setting, (source, value) in [*variables.items(), *flagged.items()]:
        if value:
            table = tables.setdefault(setting[0], {})
            if not isinstance(table, dict):
                break  # The schema has a better message.
            table[setting[1]] = value
            sources[setting] = source
    try:
        settings = Settings.model_validate(tables, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_explain(path, sources, fault) for fault in error.errors())) from None
    if name := _repeated([sink.name for sink in settings.sinks]):
        raise SettingsInvalid(f"{path}: sinks: two sinks have the name {name!r}: rename one")
    if issuer := _repeated([jwt.issuer for jwt in settings.jwt]):
        raise SettingsInvalid(f"{path}: jwt: two tables have the issuer {issuer!r}: remove one")
    return settings


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsInvalid(f"{path}: file not found: check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path}: is not valid TOML: {error}") from None


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name in sorted(names) if names.count(name) > 1), None)


def _explain(path: Path, sources: Mapping[tuple[str, str], str], fault: Any) -> str:
    location: Sequence[str | int] = fault["loc"]
    setting = ".".join(str(part) for part in location)
    source = sources.get((str(location[0]), str(location[1])) if len(location) > 1 else ("", ""), str(path))
    if fault["type"] == "extra_forbidden":
        known = _known_settings(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{source}: {setting}: unknown setting; {hint}"
    if fault["type"] == "missing":
        return f"{source}: {setting}: is required: add it"
    return f"{source}: {setting}: {fault['msg'].removeprefix('Value error, ')}"


def _known_settings(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = section_of(model.model_fields[part].annotation) or model
    return list(model.model_fields)
