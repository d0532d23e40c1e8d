"""Filters: what they may say, and their one form."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from headgate_service.errors import invalid
from headgate_service.query.request_fields import Faults, Fields, one_of, text
from headgate_service.query.time import Clock, Moment

FORCE = "properties."
MAX_KEY_CHARACTERS = 500


class Kind(Enum):
    """Where the value of a key stands."""

    TEXT = "text"
    FLAG = "flag"
    TIME = "time"
    PROPERTY = "property"


# The names of the grammar and the columns of the table.
_COLUMNS = {
    "distinct_id": (Kind.TEXT, "distinct_id"),
    "user_id": (Kind.TEXT, "user_id"),
    "session_id": (Kind.TEXT, "session_id"),
    "event": (Kind.TEXT, "event"),
    "test": (Kind.FLAG, "test"),
    "timestamp": (Kind.TIME, "ts"),
}

RESERVED = frozenset(_COLUMNS)
"""Names that are no properties, unless they are forced to be."""

# What the engine would take for more than the name of a path. Nobody can ask about such a key; it is as if missing.
SYNTAX = re.compile(r"(^|\.)[:^]`")

CANONICAL = {
    "$pathname": "page_path",
    "$path": "page_path",
    "$host": "page_domain",
    "$domain": "page_domain",
    "$referrer": "page_referrer",
    "$title": "page_title",
    "$href": "page_href",
    "$url": "page_href",
    "$current_url": "page_href",
    "$canonical_url": "page_canonical_url",
    "$utm_source": "utm_source",
    "$utm_medium": "utm_medium",
    "$utm_campaign": "utm_campaign",
    "$utm_term": "utm_term",
    "$utm_content": "utm_content",
    "$user_agent": "user_agent",
    "$ip": "client_ip",
    "$anonymous_id": "anonymous_id",
    "$experiment_id": "experiment_id",
    "$variant_id": "variant_id",
    "$sdk_name": "sdk_name",
    "$sdk_version": "sdk_version",
    "$api": "dialect",
}
"""Names for which an event without such a property answers with a canonical column."""


@dataclass(frozen=True, slots=True)
class Key:
    """A column of its own, or a property with the column that stands in where an event has none of that name.

    Of a property, `places` are the ways into the properties, tried in their order: the literal name, then the name
    split at its dots. The first that holds a value (not null, not an object) is read.
    """

    name: str
    kind: Kind
    column: str | None = None
    places: tuple[tuple[str, ...], ...] = ()


def parse_key(value: object, path: str) -> Key:
    """Raises QueryInvalid. A property may have the empty name."""
    name = "" if value == "" else text(value, path, MAX_KEY_CHARACTERS)
    if name in _COLUMNS:
        kind, column = _COLUMNS[name]
        return Key(name, kind, column)
    forced = name.startswith(FORCE) and name != FORCE
    literal = name.removeprefix(FORCE) if forced else name
    nested = tuple(literal.split("."))
    places = ((literal,), nested) if len(nested) > 1 else ((literal,),)
    return Key(name, Kind.PROPERTY, None if forced else CANONICAL.get(literal), places)


MAX_DEPTH = 5
MAX_LEAVES = 20
MAX_VALUES = 1000
MAX_TEXT = 10_000
MAX_PATTERN = 1000
MAX_BYTES = 200_000
"""Of all values of a query: they go to the store in an address, which has its limits."""

_ALIASES = {"=": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "equals": "eq"}
_EQUAL = ("eq", "neq")
_AMONG = ("in", "not_in")
_ORDER = ("gt", "gte", "lt", "lte")
_TEXT = ("contains", "not_contains", "starts_with", "ends_with", "regex")
_PRESENCE = ("exists", "not_exists")
OPS = (*_EQUAL, *_AMONG, *_TEXT, *_ORDER, "between", *_PRESENCE)
_OPS_OF = {
    Kind.FLAG: (*_EQUAL, *_AMONG, *_PRESENCE),
    Kind.TIME: (*_EQUAL, *_AMONG, *_ORDER, "between", *_PRESENCE),
}

Scalar = str | int | float | bool | Moment
Value = Scalar | tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. `value` is a tuple for in, not_in and between, and None for exists and not_exists.

    Numbers that are whole are integers, however they were written.
    """

    key: Key
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


Condition = Leaf | AllOf | AnyOf | Not

EVERYTHING = AllOf(())


def parse_condition(value: object, path: str, clock: Clock) -> Condition:
    """Raises QueryInvalid. No filter, and an empty list, take every event."""
    if value is None or value == []:
        return EVERYTHING
    if _count(value) > MAX_LEAVES:
        raise invalid(path, f"must have at most {MAX_LEAVES} comparisons", "filter_too_large")
    return _condition(value, path, clock, 1)


def _count(value: object, depth: int = 1) -> int:
    """How many comparisons it has, or what stands in their places."""
    if depth > MAX_DEPTH:
        return 1
    if isinstance(value, dict):
        inside = [value[name] for name in ("and", "or", "not") if value.get(name) is not None]
        return sum(_count(part, depth + isinstance(part, dict)) for part in inside) or 1
    return sum(_count(part, depth + 1) for part in value) if isinstance(value, list) else 1


def check_size(conditions: Iterable[Condition], path: str) -> None:
    """Raises QueryInvalid where the values of all conditions of a query are too large together."""
    size = sum(_size(leaf.value) for condition in conditions for leaf in leaves(condition))
    if size > MAX_BYTES:
        raise invalid(path, f"the values must have at most {MAX_BYTES} bytes", "filter_too_large")


def _size(value: Value) -> int:
    if isinstance(value, tuple):
        return sum(map(_size, value))
    return len(value.encode()) + 3 if isinstance(value, str) else 25


def leaves(condition: Condition) -> Iterator[Leaf]:
    match condition:
        case Leaf():
            yield condition
        case Not(part):
            yield from leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)


def _condition(value: object, path: str, clock: Clock, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise invalid(path, f"must be at most {MAX_DEPTH} deep", "filter_too_deep")
    if isinstance(value, list):
        return AllOf(_parts(value, path, clock, depth))
    fields = Fields(value, path)
    groups = [name for name in ("and", "or", "not") if fields.has(name)]
    if not groups:
        return _leaf(fields, clock)
    group = groups[0]
    inside, inner = fields.optional(group), fields.path(group)
    if len(groups) > 1 or any(fields.has(name) for name in ("key", "op", "value")):
        raise invalid(path, "must be one of {and: [..]}, {or: [..]}, {not: ..} and {key, op, value}")
    fields.done()
    if group == "not":
        return Not(_condition(inside, inner, clock, depth + 1))
    if not isinstance(inside, list):
        raise invalid(inner, "must be a list of filters")
    parts = _parts(inside, inner, clock, depth)
    return AllOf(parts) if group == "and" else AnyOf(parts)


def _parts(values: list[Any], path: str, clock: Clock, depth: int) -> tuple[Condition, ...]:
    if not 1 <= len(values) <= MAX_LEAVES:
        raise invalid(path, f"must have 1 to {MAX_LEAVES} filters", "filter_too_large" if values else "invalid_query")
    parts, faults = [], Faults()
    for index, value in enumerate(values):
        with faults:
            parts.append(_condition(value, f"{path}[{index}]", clock, depth + 1))
    faults.tell()
    return tuple(parts)


def _leaf(fields: Fields, clock: Clock) -> Leaf:
    value, path, faults = fields.optional("value"), fields.path("value"), Faults()
    with faults:
        key = parse_key(fields.required("key"), fields.path("key"))
    with faults:
        asked = fields.required("op")
        op = one_of(_ALIASES.get(asked, asked) if isinstance(asked, str) else asked, fields.path("op"), OPS)
    with faults:
        fields.done()
    faults.tell()
    if op not in _OPS_OF.get(key.kind, OPS):
        raise invalid(fields.path("op"), f"{op} does not go with {key.name}")
    if op in _PRESENCE:
        if value is not None:
            raise invalid(path, f"{op} takes no value")
        return Leaf(key, op, None)
    return Leaf(key, op, _value(key, op, value, path, clock))


def _value(key: Key, op: str, value: object, path: str, clock: Clock) -> Value:
    if op in _AMONG:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
            raise invalid(path, f"must be a list of 1 to {MAX_VALUES} values")
        return _scalars(key, value, path, clock)
    if op == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise invalid(path, "must be a list of two values: the least and the greatest")
        least, greatest = (_ordered(key, item, f"{path}[{index}]", clock) for index, item in enumerate(value))
        if isinstance(least, str) != isinstance(greatest, str):
            raise invalid(path, "must be two numbers or two strings")
        return (least, greatest)
    if op in _ORDER:
        return _ordered(key, value, path, clock)
    if op in _TEXT:
        if not isinstance(value, str):
            raise invalid(path, "must be a string")
        if op == "regex" and len(value) > MAX_PATTERN:
            raise invalid(path, f"must be at most {MAX_PATTERN} characters")
    return _scalar(key, value, path, clock)


def _scalars(key: Key, values: list[Any], path: str, clock: Clock) -> tuple[Scalar, ...]:
    found, faults = [], Faults()
    for index, item in enumerate(values):
        with faults:
            found.append(_scalar(key, item, f"{path}[{index}]", clock))
    faults.tell()
    return tuple(found)


def _ordered(key: Key, value: object, path: str, clock: Clock) -> Scalar:
    if isinstance(value, bool):
        raise invalid(path, "must be a number or a string")
    return _scalar(key, value, path, clock)


def _scalar(key: Key, value: object, path: str, clock: Clock) -> Scalar:
    if key.kind is Kind.TIME:
        return clock.moment(value, path)
    if key.kind is Kind.FLAG and not isinstance(value, bool):
        raise invalid(path, "must be true or false")
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise invalid(path, f"must be at most {MAX_TEXT} characters")
        return value
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    raise invalid(path, "must be a string, a number, true or false")
