"""A JSON Schema of an event's properties, in bounds within which no schema and no event can hold the process up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from headgate_service.errors import Fault
from headgate_service.policy.config_faults import pointer

MAX_STEPS = 2_000
# Schemas in one another, each reference followed.
MAX_DEEP = 100
MAX_MESSAGE_CHARACTERS = 200
MAX_FAULTS = 5
# Steps of a schema times values of an event: up to which an event is checked (25 ns each), and up to which all of its
# faults are looked for (4 us each).
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
# They lead out of the schema, or whither only the event decides.
_REFUSED = ("$dynamicRef", "$recursiveRef", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary")
# Their values are data, in which a "$ref" is nothing but a name.
_DATA = frozenset({"const", "enum", "default", "examples", "required", "dependentRequired"})
# Their values are schemas by names that are the event's, not the schema language's.
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})


class SchemaInvalid(Exception):
    """A schema that cannot be taken; `faults` are named by their place in the schema."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


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
        self._steps = _bound(schema)
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
            raise SchemaInvalid([Fault("", f"is no JSON Schema: {str(error).splitlines()[0]}")]) from None

    def faults(self, properties: Mapping[str, Any], json_bytes: int) -> list[PropertyFault]:
        """What is wrong with an event's properties, which are so many bytes of JSON: at most 5 faults; of large ones
        the first only. Ones that would take too long to check are at fault for that."""
        # A value is at least a character and a comma.
        if self._steps * json_bytes > 2 * MAX_CHECKED and self._looks(properties, MAX_CHECKED):
            most = MAX_CHECKED // self._steps
            return [PropertyFault("properties", f"must hold at most {most} values to be checked by this schema")]
        if self._validator.is_valid(properties):
            return []
        if self._looks(properties, MAX_LOOKED_AT):
            # The library finds every fault before it tells the first, 4 us each, of every branch and every element.
            return list(_faults(self._first(properties)))[:1]
        found = [fault for error in self._validator.iter_errors(properties) for fault in _faults(error)]
        return found[:MAX_FAULTS]

    def _looks(self, properties: Mapping[str, Any], most: int) -> bool:
        """Whether a check looks at more than so many values, counting each at each step."""
        return self._steps * _size(properties, most // self._steps + 1) > most

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


def _size(value: Any, enough: int) -> int:
    """How many values there are in a value, 64 characters being one, counted to `enough`."""
    size, left = 0, [value]
    while left and size < enough:
        size += 1
        inner = left.pop()
        if isinstance(inner, dict):
            left.extend(inner.values())
        elif isinstance(inner, list):
            left.extend(inner)
        elif isinstance(inner, str):
            size += len(inner) // 64
    return size


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
        return "is no regular expression that is taken here: without look-around and back-references, and not too large"
    return f"is no JSON Schema: {_words(error, 'it')}"


def _draft(schema: Mapping[str, Any] | bool) -> Any:
    if not isinstance(schema, Mapping):
        return jsonschema_rs.Draft202012Validator
    named = schema.get("$schema", next(iter(_DRAFTS)))
    known = _DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
    if known is None:
        raise SchemaInvalid([Fault("/$schema", f"is none of {', '.join(_DRAFTS)}")])
    return known


def _bound(schema: Mapping[str, Any] | bool) -> int:
    """The steps of a check, at least 1. Refuses what could make it endless, or lead out of the schema."""
    walk = _Walk(schema)
    steps = walk.steps(schema, ())
    if walk.faults:
        raise SchemaInvalid(walk.faults)
    if steps > MAX_STEPS:
        raise SchemaInvalid(
            [Fault("", f"takes {steps} steps with its references followed, more than {MAX_STEPS}: make it simpler")]
        )
    return max(steps, 1)


class _Walk:
    """Counts the schemas that a check visits, each reference followed, as `$ref` to `$ref` can double them at will."""

    def __init__(self, root: Mapping[str, Any] | bool) -> None:
        self.faults: list[Fault] = []
        self._root = root
        self._counted: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._deep = 0

    def steps(self, schema: Any, place: tuple[str | int, ...]) -> int:
        if self._deep == MAX_DEEP:
            message = f"is over {MAX_DEEP} levels deep with references followed: make it flatter"
            self.faults.append(Fault(pointer(*place), message))
            return 1
        self._deep += 1
        try:
            return self._steps(schema, place)
        finally:
            self._deep -= 1

    def _steps(self, schema: Any, place: tuple[str | int, ...]) -> int:
        if isinstance(schema, list):
            return sum(self.steps(inner, (*place, index)) for index, inner in enumerate(schema))
        if not isinstance(schema, Mapping):
            return 1
        count = 1
        for keyword, inner in schema.items():
            at = (*place, keyword)
            if keyword in _REFUSED and isinstance(inner, str | bool | dict):
                self.faults.append(Fault(pointer(*at), "is not taken here"))
            elif keyword == "$ref":
                count += self._followed(inner, at)
            elif keyword == "format" and inner == "regex":
                self.faults.append(Fault(pointer(*at), "the format regex is not taken: it runs what events say"))
            elif keyword in ("$defs", "definitions"):
                # Where something refers to them they are counted there; on their own nothing visits them.
                self._looked_at(inner, at)
            elif keyword in _NAMED and isinstance(inner, Mapping):
                count += sum(self.steps(value, (*at, name)) for name, value in inner.items())
            elif keyword in _DATA:
                count += len(inner) if isinstance(inner, Mapping | list) else 1
            else:
                count += self.steps(inner, at) if isinstance(inner, Mapping | list) else 1
        return count

    def _looked_at(self, named: Any, place: tuple[str | int, ...]) -> None:
        if isinstance(named, Mapping):
            for name, inner in named.items():
                self.steps(inner, (*place, name))

    def _followed(self, reference: Any, place: tuple[str | int, ...]) -> int:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            self.faults.append(Fault(pointer(*place), "must point into this schema, as #/$defs/name"))
            return 1
        if reference in self._counted:
            return self._counted[reference]
        if reference in self._under_way:
            self.faults.append(Fault(pointer(*place), "leads back to itself: recursive schemas are not taken"))
            return 1
        self._under_way.add(reference)
        target = _resolved(self._root, reference)
        if target is None:
            self.faults.append(Fault(pointer(*place), "points at nothing in this schema"))
            count = 1
        else:
            count = self.steps(target, tuple(reference.split("/")[1:]))
        self._under_way.discard(reference)
        self._counted[reference] = count
        return count


def _resolved(root: Any, reference: str) -> Any:
    at = root
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping):
            at = at.get(name)
        elif isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        else:
            return None
    return at
