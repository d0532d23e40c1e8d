"""Where settings go: fields of the frozen Configs that processes are started with."""

import dataclasses
import types
from collections.abc import Iterator
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from headgate_cli.settings.section import Rate, Section
from headgate_cli.settings.values import Address

_Config = TypeVar("_Config")


@dataclasses.dataclass(frozen=True)
class To:
    """Names the fields that get a setting's value, such as `service.limits.keys`: a process, a path in its Config.

    `[[sinks]]` name fields of the process's value for one sink. A setting that is absent leaves the field's default.
    Values fit the field: seconds become milliseconds where its name ends in `_ms`, HOST:PORT fills `*_host` and
    `*_port`, a table fills a dataclass with fields of the same names, and text is given to the field's class.
    """

    fields: tuple[str, ...]

    def __init__(self, *fields: str) -> None:
        object.__setattr__(self, "fields", fields)


def build_config(config: type[_Config], process: str, settings: Section, **values: Any) -> _Config:
    """Build a process's Config: from the settings that name it, and from `values`, which come first."""
    return _build(config, dict(_values(process, settings)), values)


def _values(process: str, section: Section) -> Iterator[tuple[str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        targets = [target for mark in field.metadata if isinstance(mark, To) for target in mark.fields]
        if value is not None:
            yield from ((target.partition(".")[2], value) for target in targets if target.startswith(f"{process}."))
        if isinstance(value, Section):
            yield from _values(process, value)


def _build(config: type[_Config], values: dict[str, Any], given: dict[str, Any]) -> _Config:
    hints = get_type_hints(config)
    arguments: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if rest:
            nested.setdefault(name, {})[rest] = value
        elif name in given:
            continue
        elif name not in hints:
            address = Address.parse(value)
            arguments |= {f"{name}_host": address.host, f"{name}_port": address.port}
        else:
            arguments[name] = _fit(value, name, hints[name])
    arguments |= {name: _build(_class_of(hints[name]), inner, {}) for name, inner in nested.items()}
    return config(**arguments | given)


def _fit(value: Any, name: str, hint: Any) -> Any:
    if isinstance(value, Rate):
        return _class_of(hint)(value.requests, value.window_seconds * 1000)
    if isinstance(value, Section):
        return _class_of(hint)(**{field: getattr(value, field) for field in type(value).model_fields})
    if name.endswith("_ms"):
        return value * 1000
    kind = _class_of(hint)
    kind = get_origin(kind) or kind
    # Sizes are a kind of int that not everything can encode.
    converts = kind in (frozenset, int) or (isinstance(value, str) and isinstance(kind, type) and kind is not str)
    return kind(value) if converts else value


def _class_of(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint
