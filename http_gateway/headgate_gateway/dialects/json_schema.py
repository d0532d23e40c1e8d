"""The few keywords of JSON Schema that a dialect's own document uses, checked in Python values.

Formats are asserted. A keyword that is not known here is a KeyError at the first check, never passed over.
"""

from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

from .moment import rfc3339
from .uri import is_uri

Schema = Mapping[str, Any]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (NoneType,),
    "object": (dict,),
}


class Violation(NamedTuple):
    """`path` is a JSON Pointer to the value, or to where a missing one should be."""

    path: str
    message: str


def violations(value: Any, schema: Schema, path: str = "") -> Iterator[Violation]:
    """Everything about `value` that `schema` does not allow, in the order of its fields."""
    for keyword, rule in schema.items():
        if keyword == "type":
            names = [rule] if isinstance(rule, str) else rule
            # By exact type: a bool is an int to Python, and a number to nobody else.
            if not any(type(value) in _TYPES[name] for name in names):
                yield Violation(path, f"must be of type {' or '.join(names)}")
                return
        else:
            yield from _KEYWORDS[keyword](value, rule, path)


def _properties(value: Any, rule: Mapping[str, Schema], path: str) -> Iterator[Violation]:
    if isinstance(value, dict):
        for name, schema in rule.items():
            if name in value:
                yield from violations(value[name], schema, f"{path}/{_escaped(name)}")


def _additional(value: Any, rule: Schema, path: str) -> Iterator[Violation]:
    """Beside no `properties`: then all of them are additional."""
    if isinstance(value, dict):
        for name, given in value.items():
            yield from violations(given, rule, f"{path}/{_escaped(name)}")


def _required(value: Any, rule: list[str], path: str) -> Iterator[Violation]:
    if isinstance(value, dict):
        for name in rule:
            if name not in value:
                yield Violation(f"{path}/{_escaped(name)}", "is required")


def _any_of(value: Any, rule: list[Schema], path: str) -> Iterator[Violation]:
    if all(any(violations(value, schema)) for schema in rule):
        yield Violation(path, f"must be of type {' or '.join(schema['type'] for schema in rule)}")


def _enum(value: Any, rule: list[str], path: str) -> Iterator[Violation]:
    if value not in rule:
        yield Violation(path, f"must be one of: {', '.join(rule)}")


def _min_length(value: Any, rule: int, path: str) -> Iterator[Violation]:
    if isinstance(value, str) and len(value) < rule:
        yield Violation(path, f"must have at least {rule} character{'s' if rule > 1 else ''}")


def _format(value: Any, rule: str, path: str) -> Iterator[Violation]:
    if isinstance(value, str):
        check, message = _FORMATS[rule]
        if not check(value):
            yield Violation(path, message)


_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date-time": (rfc3339, "must be an RFC 3339 date-time that exists"),
    "uri": (is_uri, "must be an absolute URI by RFC 3986"),
}
_KEYWORDS: Mapping[str, Callable[[Any, Any, str], Iterator[Violation]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "required": _required,
    "anyOf": _any_of,
    "enum": _enum,
    "minLength": _min_length,
    "format": _format,
}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
