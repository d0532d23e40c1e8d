"""A JSON Schema of an event's properties, in bounds within which no schema and no event can hold the process up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from headgate_service.failure import Fault
from headgate_service.policy.config_faults import pointer
from headgate_service.policy.schema_cost import SchemaCost, SchemaInvalid

MAX_MESSAGE_CHARACTERS = 200
MAX_FAULTS = 5
# Units of SchemaCost up to which an event is checked, and up to which all of its faults are looked for: a unit of a
# check takes 25 ns, a fault 4 us.
MAX_CHECKED = 250_000
MAX_LOOKED_AT = 5_000

_DRAFTS: Mapping[str, Any] = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
# A pattern is run by an engine without backtracking, in time linear in the text; this bounds its compiled form, and
# what it remembers of texts: of one pattern, and of all of a config together. A plain one takes 2 to 16 KiB.
_COMPILED_BYTES, _ALL_COMPILED_BYTES = 256 * 1024, 64 * 1024 * 1024
_REMEMBERED_BYTES, _ALL_REMEMBERED_BYTES = 1024 * 1024, 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PropertyFault:
    """What is wrong with a property: `field` as `properties.card.number`; no value of the event is in the message."""

    field: str
    message: str


class PropertySchema:
    """A compiled schema, one of several with so many `patterns` together. Formats are checked. Raises SchemaInvalid."""

    def __init__(self, schema: Mapping[str, Any] | bool, patterns: int = 1) -> None:
        draft = _draft(schema)
        if isinstance(schema, Mapping):
            # A schema of its own name is still itself; nothing is found by that name.
            schema = {keyword: value for keyword, value in schema.items() if keyword != "$id"}
        self._cost = SchemaCost(schema)
        try:
            self._validator = draft(
                schema,
                validate_formats=True,
                pattern_options=_bounds(max(patterns, 1)),
                offline=True,
                mask="the value",
            )
        except jsonschema_rs.ValidationError as error:
            raise SchemaInvalid([Fault(pointer(*error.instance_path), _no_schema(error))]) from None
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaInvalid([Fault("", f"is not a valid JSON Schema: {str(error).splitlines()[0]}")]) from None

    def faults(self, properties: Mapping[str, Any], json_bytes: int) -> list[PropertyFault]:
        """What is wrong with an event's properties, which are so many bytes of JSON: at most 5 faults; of large ones
        the first only. Ones that would take too long to check are at fault for that."""
        if self._cost.exceeds(properties, json_bytes, MAX_CHECKED):
            return [PropertyFault("properties", "must hold fewer or shorter values to be checked by this schema")]
        if self._validator.is_valid(properties):
            return []
        if not self._cost.exceeds(properties, json_bytes, MAX_LOOKED_AT):
            found = [fault for error in self._validator.iter_errors(properties) for fault in _faults(error)]
            return found[:MAX_FAULTS]
        # The library finds every fault in an alternative before it tells that none fits.
        if self._cost.is_told(properties, MAX_CHECKED, MAX_LOOKED_AT):
            return list(_faults(self._first(properties)))[:1]
        return [PropertyFault("properties", "does not fit this schema, and holds too much to be told where")]

    def _first(self, properties: Mapping[str, Any]) -> jsonschema_rs.ValidationError:
        try:
            self._validator.validate(properties)
        except jsonschema_rs.ValidationError as error:
            return error
        raise AssertionError("what is not valid has a fault")


def patterns_in(schemas: Iterable[Any]) -> int:
    """How many patterns there may be in schemas."""
    found, left = 0, list(schemas)
    while left:
        inner = left.pop()
        if isinstance(inner, Mapping):
            found += isinstance(inner.get("pattern"), str)
            named = inner.get("patternProperties")
            found += len(named) if isinstance(named, Mapping) else 0
            left.extend(inner.values())
        elif isinstance(inner, list):
            left.extend(inner)
    return found


def _bounds(patterns: int) -> jsonschema_rs.RegexOptions:
    return jsonschema_rs.RegexOptions(
        size_limit=min(_COMPILED_BYTES, _ALL_COMPILED_BYTES // patterns),
        dfa_size_limit=min(_REMEMBERED_BYTES, _ALL_REMEMBERED_BYTES // patterns),
    )


def _faults(error: jsonschema_rs.ValidationError) -> Iterator[PropertyFault]:
    field = ".".join(("properties", *map(str, error.instance_path)))
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
        yield PropertyFault(f"{field}.{error.kind.property}", "is required")
    else:
        yield PropertyFault(field, _words(error, "")[:MAX_MESSAGE_CHARACTERS])


def _words(error: jsonschema_rs.ValidationError, subject: str) -> str:
    """What the library says, as of a field that is named elsewhere."""
    message = str(error.message).splitlines()[0]
    if message.startswith("the value "):
        message = f"{subject} {message.removeprefix('the value ')}".strip()
    return message


def _no_schema(error: jsonschema_rs.ValidationError) -> str:
    if error.kind.name == "format":
        return "is not an accepted regular expression: no look-around, no back-references, and not too large"
    return f"is not a valid JSON Schema: {_words(error, 'it')}"


def _draft(schema: Mapping[str, Any] | bool) -> Any:
    if not isinstance(schema, Mapping):
        return jsonschema_rs.Draft202012Validator
    named = schema.get("$schema", next(iter(_DRAFTS)))
    known = _DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if known is None:
        raise SchemaInvalid([Fault("/$schema", f"is none of {', '.join(_DRAFTS)}")])
    return known
