"""What a request of the app API may hold, read strictly: nothing unknown, nothing of another type."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

MAX_TEXT_CHARACTERS = 4_096
MAX_TEXTS = 10_000
EMAIL_RULES = {"format": "email", "maxLength": 254}
MAX_PART_CHARACTERS = 300
"""Of a part of a path."""
# What both protobuf and JSON hold exactly.
MAX_INTEGER = 2**53 - 1

_INTEGER = re.compile(r"-?[0-9]{1,16}")


class FieldInvalid(Exception):
    """A field that is missing, unknown, or holds what it may not; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Kind(Enum):
    """What a field holds; the value is its JSON Schema."""

    TEXT = ("string",)
    INTEGER = ("integer",)
    FLAG = ("boolean",)
    TIME = ("string", "date-time")
    TEXTS = ("array",)
    OBJECT = ("object",)

    @property
    def schema(self) -> dict[str, Any]:
        name, *form = self.value
        schema: dict[str, Any] = {"type": name}
        if form:
            schema["format"] = form[0]
        if self is Kind.TEXT:
            schema["maxLength"] = MAX_TEXT_CHARACTERS
        if self is Kind.TEXTS:
            schema |= {"items": {"type": "string", "maxLength": MAX_TEXT_CHARACTERS}, "maxItems": MAX_TEXTS}
        return schema


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body, or a parameter of a query. A null is an absence. `bounds` are those of an integer,
    `rules` what else is asked of it, as JSON Schema."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    description: str = ""
    bounds: tuple[int, int] = (0, MAX_INTEGER)
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def schema(self) -> dict[str, Any]:
        schema = self.kind.schema
        if self.kind is Kind.INTEGER:
            schema |= {"minimum": self.bounds[0], "maximum": self.bounds[1]}
        return schema | dict(self.rules)


def read_body(fields: Sequence[Field], body: object) -> dict[str, Any]:
    """The fields that the body has. Raises FieldInvalid."""
    if not isinstance(body, dict):
        raise FieldInvalid("body", "must be a JSON object")
    return _read(fields, body, _of_json)


def read_query(fields: Sequence[Field], query: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that the query has. Raises FieldInvalid."""
    return _read(fields, query, _of_text)


def _read(fields: Sequence[Field], given: Mapping[str, Any], read: Any) -> dict[str, Any]:
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            raise FieldInvalid(name, f"is not known here; known: {', '.join(known) or 'nothing'}")
    values = {}
    for name, field in known.items():
        if given.get(name) is not None:
            values[name] = read(field, given[name])
        elif field.required:
            raise FieldInvalid(name, "is required")
    return values


def _of_json(field: Field, value: object) -> object:
    match field.kind:
        case Kind.TEXT if isinstance(value, str):
            return _short(field, value)
        case Kind.TIME if isinstance(value, str):
            return _moment(field, value)
        case Kind.INTEGER if isinstance(value, int) and not isinstance(value, bool):
            return _bounded(field, value)
        case Kind.FLAG if isinstance(value, bool):
            return value
        case Kind.TEXTS if isinstance(value, list) and all(isinstance(one, str) for one in value):
            if len(value) > MAX_TEXTS:
                raise FieldInvalid(field.name, f"must have at most {MAX_TEXTS} elements")
            return [_short(field, one) for one in value]
        case Kind.OBJECT if isinstance(value, dict):
            return value
    raise FieldInvalid(field.name, f"must be {_EXPECTED[field.kind]}")


def _of_text(field: Field, text: str) -> object:
    match field.kind:
        case Kind.TEXT:
            return _short(field, text)
        case Kind.TIME:
            return _moment(field, text)
        case Kind.INTEGER if _INTEGER.fullmatch(text):
            return _bounded(field, int(text))
        case Kind.FLAG if text in ("true", "1", "false", "0"):
            return text in ("true", "1")
    raise FieldInvalid(field.name, f"must be {_EXPECTED[field.kind]}")


def _short(field: Field, text: str) -> str:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise FieldInvalid(field.name, f"must have at most {MAX_TEXT_CHARACTERS} characters")
    if "\0" in text or (not text.isprintable() and any(0xD800 <= ord(one) <= 0xDFFF for one in text)):
        raise FieldInvalid(field.name, "must be text without null characters")
    return text


def _bounded(field: Field, number: int) -> int:
    least, most = field.bounds
    if not least <= number <= most:
        raise FieldInvalid(field.name, f"must be {least} to {most}")
    return number


def _moment(field: Field, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FieldInvalid(field.name, f"must be {_EXPECTED[field.kind]}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 9999:
        raise FieldInvalid(field.name, "must be of the years 1970 to 9998")
    return moment.astimezone(UTC)


_EXPECTED = {
    Kind.TEXT: "a string",
    Kind.TIME: "a time such as 2026-11-25T08:00:00Z",
    Kind.INTEGER: "an integer",
    Kind.FLAG: "true or false",
    Kind.TEXTS: "an array of strings",
    Kind.OBJECT: "an object",
}
