"""The few keywords of JSON Schema that a dialect's own document uses, compiled to Python. Formats are asserted."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, NamedTuple

from ada_url import check_url

from headgate_dialects.formats.moment import rfc3339

Schema = Mapping[str, Any]


class Violation(NamedTuple):
    """`path` is a JSON Pointer to the value, or to where a missing one should be."""

    path: str
    message: str


Check = Callable[[Any, str, list[Violation]], None]


class JsonSchema:
    """A compiled schema. A keyword, type or format that is not known here is a KeyError at once, never passed over."""

    def __init__(self, schema: Schema) -> None:
        self._check = _compiled(schema)

    def violations(self, value: Any) -> list[Violation]:
        """Everything about `value` that the schema does not allow."""
        found: list[Violation] = []
        self._check(value, "", found)
        return found


def _compiled(schema: Schema) -> Check:
    """Of a value of the wrong type nothing else is said."""
    names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    # By exact type: a bool is an int to Python, and a number to nobody else.
    types = frozenset(kind for name in names for kind in _TYPES[name])
    message = f"must be of type {' or '.join(names)}"
    keywords = [(_KEYWORDS[keyword], rule) for keyword, rule in schema.items() if keyword != "type"]
    rules = [(applies, compiled(rule)) for (applies, compiled), rule in keywords]

    def check(value: Any, path: str, found: list[Violation]) -> None:
        kind = type(value)
        if kind not in types:
            found.append(Violation(path, message))
            return
        for applies, rule in rules:
            if kind is applies:
                rule(value, path, found)

    return check


def _properties(rule: Mapping[str, Schema]) -> Check:
    fields = [(name, escaped(name), _compiled(schema)) for name, schema in rule.items()]

    def check(value: dict[str, Any], path: str, found: list[Violation]) -> None:
        for name, escaped, field in fields:
            if name in value:
                field(value[name], f"{path}/{escaped}", found)

    return check


def _additional_properties(rule: Schema) -> Check:
    """Known only beside no `properties`, so that all of them are additional; and as a choice of types."""
    names = [choice["type"] for choice in rule["anyOf"]]
    types = frozenset(kind for name in names for kind in _TYPES[name])
    message = f"must be of type {' or '.join(names)}"

    def check(value: dict[str, Any], path: str, found: list[Violation]) -> None:
        for name, given in value.items():
            if type(given) not in types:
                found.append(Violation(f"{path}/{escaped(name)}", message))

    return check


def _required(rule: list[str]) -> Check:
    def check(value: dict[str, Any], path: str, found: list[Violation]) -> None:
        found += [Violation(f"{path}/{escaped(name)}", "is required") for name in rule if name not in value]

    return check


def _enum(rule: list[str]) -> Check:
    def check(value: str, path: str, found: list[Violation]) -> None:
        if value not in rule:
            found.append(Violation(path, f"must be one of: {', '.join(rule)}"))

    return check


def _min_length(rule: int) -> Check:
    def check(value: str, path: str, found: list[Violation]) -> None:
        if len(value) < rule:
            found.append(Violation(path, f"must have a length of at least {rule}"))

    return check


def _format(rule: str) -> Check:
    holds, message = _FORMATS[rule]

    def check(value: str, path: str, found: list[Violation]) -> None:
        if not holds(value):
            found.append(Violation(path, message))

    return check


def escaped(name: str) -> str:
    """`name` as one step of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (NoneType,),
    "object": (dict,),
}
_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date-time": (rfc3339, "must be an RFC 3339 date-time that exists"),
    # As browsers read it: what `location.href` holds is often no URI of RFC 3986.
    "uri": (check_url, "must be an absolute URL"),
}
# What each keyword applies to, and how it is compiled.
_KEYWORDS: Mapping[str, tuple[type, Callable[[Any], Check]]] = {
    "required": (dict, _required),
    "properties": (dict, _properties),
    "additionalProperties": (dict, _additional_properties),
    "enum": (str, _enum),
    "minLength": (str, _min_length),
    "format": (str, _format),
}
