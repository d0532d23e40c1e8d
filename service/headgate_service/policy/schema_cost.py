"""Counts what the check of an event by a JSON Schema costs, without doing it.

A unit is one keyword that looks at one value, about 25 ns. Counts are upper bounds: every branch counts, and every
property counts as additional.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_service.failure import Fault
from headgate_service.policy.config_faults import pointer

MAX_STEPS = 2_000
# Schemas in one another, each reference followed.
MAX_DEEP = 100
# Pairs of a schema and a value that a count looks at, 1 us each.
MAX_VISITS = 4_000
MULTIPLE_OF = (1e-9, 1e15)

# A string counts once more for each so many characters.
_CHARACTERS = 64
# An engine without backtracking takes 6 ns for a byte of text and a state of the pattern, of which it can be in all.
_STATES_A_UNIT = 4
_FORMAT_STATES: Mapping[str, int] = {"idn-hostname": 10}
_OTHER_FORMAT_STATES = 2
# It is done in fractions, of which those of a number of a far exponent have a thousand bits.
_MULTIPLE, _INTEGRAL_MULTIPLE, _FAR = 128, 32, 10
_FAR_NUMBERS = (1e-18, 1e20)
# What looks for what others left looks at all of them again, and they at what is in them.
_AGAIN = 3

# They lead out of the schema, or whither only the event decides.
_REFUSED = ("$dynamicRef", "$recursiveRef", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary")
# Their values are data, in which a "$ref" is nothing but a name; those of the second set are looked at by nobody.
_DATA = frozenset({"const", "enum", "required", "dependentRequired", "type"})
_NOTES = frozenset({"default", "examples", "title", "description", "$comment", "$schema", "deprecated", "readOnly"})
# Where something refers to them they are counted there; on their own nothing visits them.
_SHELVES = frozenset({"$defs", "definitions"})
_ALTERNATIVES = frozenset({"anyOf", "oneOf"})
_UNEVALUATED = frozenset({"unevaluatedProperties", "unevaluatedItems"})
_EACH = frozenset({"additionalProperties", "additionalItems", "items", "contains"}) | _UNEVALUATED


class SchemaInvalid(Exception):
    """A schema that cannot be taken; `faults` are named by their place in the schema."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(slots=True)
class Node:
    """A schema in a schema. `units` are its own for a value, `states` those of its patterns that a text goes through.

    `steps` and `all_states` count those of the schemas in it too, each once; `telling` are the steps in alternatives,
    all faults of which are found before the first is told. `times` is how often those that are `here`, which look at
    the same value, do so.
    """

    units: int = 1
    states: int = 0
    steps: int = 1
    all_states: int = 0
    telling: int = 0
    times: int = 1
    divides: bool = False
    unique: bool = False
    here: list["Node"] = field(default_factory=list)
    alternatives: list["Node"] = field(default_factory=list)
    named: dict[str, "Node"] = field(default_factory=dict)
    patterns: list[tuple[int, "Node"]] = field(default_factory=list)
    each: list["Node"] = field(default_factory=list)
    placed: list["Node"] = field(default_factory=list)
    names: list["Node"] = field(default_factory=list)

    def close(self) -> "Node":
        """Adds up, when all is in it."""
        here = [*self.here, *self.alternatives]
        below = [*self.named.values(), *self.each, *self.placed, *self.names, *(node for _, node in self.patterns)]
        self.divides = self.divides or any(node.divides for node in here + below)
        self.steps = self.units + self._sum("steps", here, below)
        self.all_states = self.states + sum(states for states, _ in self.patterns)
        self.all_states += self._sum("all_states", here, below)
        self.telling = self._sum("telling", here, below) + self._sum("steps", self.alternatives, [])
        return self

    def _sum(self, of: str, here: list["Node"], below: list["Node"]) -> int:
        count: int = sum(getattr(node, of) for node in here * self.times + below)
        return count


class SchemaCost:
    """The cost of a schema. Raises SchemaInvalid where it has no bound, leads out of the schema or is too large."""

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        reader = _Reader(schema)
        self.root = reader.read(schema, ())
        if reader.faults:
            raise SchemaInvalid(reader.faults)
        if self.root.steps > MAX_STEPS:
            message = (
                f"takes {self.root.steps} steps or more with its references followed, and at most {MAX_STEPS} are "
                "taken: make it simpler"
            )
            raise SchemaInvalid([Fault("", message)])

    def exceeds(self, value: Any, json_bytes: int, most: int) -> bool:
        """Whether a check of a value, of so many bytes of JSON, may take more than `most` units."""
        root = self.root
        text = root.all_states * json_bytes // _STATES_A_UNIT
        # A value is at least a character and a comma; a far number is 1e99.
        values = json_bytes * 2 if root.divides else json_bytes // 2 + 1
        if root.steps * values + text <= most:
            return False
        enough = most // root.steps + 1
        if root.steps * size(value, enough, far=root.divides) + text <= most:
            return False
        return Count(most).visit(root, value).over

    def is_told(self, value: Any, most: int, most_told: int) -> bool:
        """Whether the first fault of a value can be found within so many units in alternatives."""
        if not self.root.telling:
            return True
        count = Count(most).visit(self.root, value)
        return not count.over and count.told <= most_told


class Count:
    """Counts the units of a check, to `most`."""

    def __init__(self, most: int) -> None:
        self.units = 0
        self.told = 0
        self._most = most
        self._visits = 0

    @property
    def over(self) -> bool:
        return self.units > self._most or self._visits > MAX_VISITS

    def visit(self, node: Node, value: Any, times: int = 1, told: bool = False) -> "Count":
        self._visits += 1
        if self.over:
            return self
        self._add(times * node.units * _weight(value, far=node.divides), told)
        if node.unique:
            self._add(times * size(value, self._most + 1), told)
        if node.states and isinstance(value, str):
            self._add(times * _text(node.states, value), told)
        for inner in node.here:
            self.visit(inner, value, times * node.times, told)
        for inner in node.alternatives:
            self.visit(inner, value, times * node.times, told=True)
        if isinstance(value, dict):
            self._visit_properties(node, value, times, told)
        elif isinstance(value, list):
            for inner in node.each:
                for element in value:
                    if self.over:
                        return self
                    self.visit(inner, element, times, told)
            for inner, element in zip(node.placed, value, strict=False):
                self.visit(inner, element, times, told)
        return self

    def _visit_properties(self, node: Node, value: dict[str, Any], times: int, told: bool) -> None:
        self._add(times * len(node.named), told)
        for name, inner in node.named.items():
            if name in value:
                self.visit(inner, value[name], times, told)
        if not (node.patterns or node.each or node.names):
            return
        for name, element in value.items():
            if self.over:
                return
            for states, inner in node.patterns:
                self._add(times * _text(states, name), told)
                self.visit(inner, element, times, told)
            for inner in node.each:
                self.visit(inner, element, times, told)
            for inner in node.names:
                self.visit(inner, name, times, told)

    def _add(self, units: int, told: bool) -> None:
        self.units += units
        if told:
            self.told += units


def size(value: Any, enough: int, *, far: bool = False) -> int:
    """The units of one keyword that looks at each value in a value and each name, counted to `enough`."""
    found, left = 0, [value]
    while left and found < enough:
        inner = left.pop()
        found += _weight(inner, far=far)
        if isinstance(inner, dict):
            found += sum(len(name) // _CHARACTERS for name in inner)
            left.extend(inner.values())
        elif isinstance(inner, list):
            left.extend(inner)
    return found


def _weight(value: Any, *, far: bool) -> int:
    if isinstance(value, str):
        return 1 + len(value) // _CHARACTERS
    if far and isinstance(value, float) and value and not _FAR_NUMBERS[0] < abs(value) < _FAR_NUMBERS[1]:
        return _FAR
    return 1


def _text(states: int, text: str) -> int:
    bytes_at_most = len(text) if text.isascii() else 4 * len(text)
    return 1 + states * bytes_at_most // _STATES_A_UNIT


class _Reader:
    """Reads schemas, each reference followed, as `$ref` to `$ref` can double them at will."""

    def __init__(self, root: Mapping[str, Any] | bool) -> None:
        self.faults: list[Fault] = []
        self._root = root
        self._read: dict[str, Node] = {}
        self._under_way: set[str] = set()
        self._deep = 0

    def read(self, schema: Any, place: tuple[str | int, ...]) -> Node:
        if self._deep == MAX_DEEP:
            message = f"is over {MAX_DEEP} levels deep with references followed: make it flatter"
            self.faults.append(Fault(pointer(*place), message))
            return Node()
        self._deep += 1
        try:
            node = Node()
            if isinstance(schema, list):
                node.here = self._each(schema, place)
            elif isinstance(schema, Mapping):
                for keyword, inner in schema.items():
                    self._add(node, keyword, inner, (*place, keyword))
            return node.close()
        finally:
            self._deep -= 1

    def _add(self, node: Node, keyword: str, inner: Any, place: tuple[str | int, ...]) -> None:
        if keyword in _REFUSED and isinstance(inner, str | bool | dict):
            self._refuse(place, "is not taken here")
        elif keyword == "$ref":
            node.here.append(self._follow(inner, place))
        elif keyword in _SHELVES:
            self._named(inner, place)
        elif keyword in _DATA:
            node.units += size(inner, MAX_STEPS + 1)
        elif keyword in ("pattern", "format", "multipleOf", "uniqueItems"):
            self._add_costly(node, keyword, inner, place)
        elif isinstance(inner, Mapping | list):
            node.units += 1
            self._add_schemas(node, keyword, inner, place)
        elif keyword not in _NOTES:
            node.units += 1
            if isinstance(inner, bool) and keyword in _UNEVALUATED:
                node.times = _AGAIN

    def _add_costly(self, node: Node, keyword: str, inner: Any, place: tuple[str | int, ...]) -> None:
        node.units += 1
        if keyword == "pattern" and isinstance(inner, str):
            node.states += states_of(inner)
        elif keyword == "format" and isinstance(inner, str):
            node.states += _FORMAT_STATES.get(inner, _OTHER_FORMAT_STATES)
            if inner == "regex":
                self._refuse(place, "the format regex is not taken: it runs what events say")
        elif keyword == "multipleOf" and isinstance(inner, int | float):
            node.divides = True
            node.units += _INTEGRAL_MULTIPLE if float(inner).is_integer() else _MULTIPLE
            if not MULTIPLE_OF[0] <= inner <= MULTIPLE_OF[1]:
                self._refuse(place, "must be from 0.000000001 to 1000000000000000: it takes too long to divide by it")
        elif keyword == "uniqueItems" and inner is True:
            node.unique = True

    def _add_schemas(
        self, node: Node, keyword: str, inner: Mapping[str, Any] | list[Any], place: tuple[str | int, ...]
    ) -> None:
        if keyword == "properties":
            node.named = self._named(inner, place)
        elif keyword == "patternProperties":
            # The names are looked at once more for what is additional.
            node.patterns = [(2 * states_of(name), schema) for name, schema in self._named(inner, place).items()]
        elif keyword in ("dependentSchemas", "dependencies") and isinstance(inner, Mapping):
            for name, schema in inner.items():
                if isinstance(schema, list):
                    node.units += size(schema, MAX_STEPS + 1)
                else:
                    node.here.append(self.read(schema, (*place, name)))
        elif keyword in _ALTERNATIVES and isinstance(inner, list):
            node.alternatives += self._each(inner, place)
        elif keyword in ("prefixItems", "items") and isinstance(inner, list):
            node.placed += self._each(inner, place)
        elif keyword == "propertyNames":
            node.names.append(self.read(inner, place))
        elif keyword in _EACH:
            node.each.append(self.read(inner, place))
            if keyword in _UNEVALUATED:
                node.times = _AGAIN
        elif keyword in _NOTES:
            node.units -= 1
        else:
            node.here.append(self.read(inner, place))

    def _each(self, schemas: list[Any], place: tuple[str | int, ...]) -> list[Node]:
        return [self.read(schema, (*place, index)) for index, schema in enumerate(schemas)]

    def _named(self, schemas: Any, place: tuple[str | int, ...]) -> dict[str, Node]:
        if not isinstance(schemas, Mapping):
            return {}
        return {name: self.read(schema, (*place, name)) for name, schema in schemas.items()}

    def _refuse(self, place: tuple[str | int, ...], message: str) -> None:
        self.faults.append(Fault(pointer(*place), message))

    def _follow(self, reference: Any, place: tuple[str | int, ...]) -> Node:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            self._refuse(place, "must point into this schema, as #/$defs/name")
            return Node()
        if reference in self._read:
            return self._read[reference]
        if reference in self._under_way:
            self._refuse(place, "leads back to itself: recursive schemas are not taken")
            return Node()
        self._under_way.add(reference)
        target = _resolved(self._root, reference)
        if target is None:
            self._refuse(place, "points at nothing in this schema")
        node = self._read[reference] = self.read(target, tuple(reference.split("/")[1:]))
        self._under_way.discard(reference)
        return node


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


_TOKEN = re.compile(r"\\[pPuxk]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]|\{(\d+)(?:(,)(\d*))?\}|.", re.DOTALL)


def states_of(pattern: str) -> int:
    """How many states a pattern can be in at once: its characters and classes, as often as they are repeated."""
    outer: list[int] = []
    states, last = 1, 0
    for token in _TOKEN.finditer(pattern):
        text, repeated = token[0], token[1]
        if repeated is not None:
            times = max(int(token[3]) if token[3] else int(repeated) + bool(token[2]), 1)
            states += last * (times - 1)
            last *= times
        elif text == "(":
            outer.append(states)
            states = 1
        elif text == ")" and outer:
            last = states
            states += outer.pop()
        elif text not in "*+?|^$":
            last = 1
            states += 1
    return states + sum(outer)
