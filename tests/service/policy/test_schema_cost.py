"""No schema that is taken, and no event, makes a check cost more than its bound: counted by an evaluator of this file,
which goes the whole way that a validator can go."""

import json
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pytest
from headgate_service.policy.property_schema import MAX_CHECKED, MAX_FAULTS, MAX_LOOKED_AT, PropertySchema
from headgate_service.policy.schema_cost import SchemaInvalid, states_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TOO_MUCH = "must hold fewer or shorter values to be checked by this schema"
UNTOLD = "does not fit this schema, and holds too much to be told where"

# The most states of each at once, counted by hand.
PATTERNS = {"x": 1, "^[a-c]{1,20}$": 20, "a[ab]{30}c": 32, "((a|b){3}c){10}": 70, "(a?){40}b": 41, "1[01]{300}2": 302}


def within(schema: Any, keywords: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for keyword in keywords:
        inner = schema.get(keyword, [])
        for one in inner if isinstance(inner, list) else [inner]:
            yield keyword, one


class Evaluator:
    """Counts looks at values: each keyword, each comparison in an enum, each state of a pattern at each byte."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.looks = 0
        self.faults_built = 0

    def check(self, schema: Any, value: Any, inside: bool = False) -> None:
        """All that it takes to say whether a value fits. `inside`: an alternative, whose faults are all built."""
        self.looks += 1
        if isinstance(schema, bool):
            return
        self.looks += len(schema)
        self._data(schema, value)
        self._scalars(schema, value)
        for keyword, inner in self._here(schema, value):
            before, alternative = self.looks, keyword in ("anyOf", "oneOf")
            self.check(inner, value, inside or alternative)
            if alternative and not inside:
                self.faults_built += self.looks - before
        if isinstance(value, dict):
            self._properties(schema, value, inside)
        if isinstance(value, list):
            prefix = schema.get("prefixItems", [])
            for inner, element in zip(prefix, value, strict=False):
                self.check(inner, element, inside)
            for keyword in ("items", "contains", "unevaluatedItems"):
                for element in value[len(prefix) if keyword == "items" else 0 :] if keyword in schema else ():
                    self.check(schema[keyword], element, inside)
        if "unevaluatedProperties" in schema or "unevaluatedItems" in schema:
            self.mark(schema, value)

    def mark(self, schema: Any, value: Any) -> None:
        """Finds what the schemas in a schema have looked at, by a check of each."""
        if isinstance(schema, Mapping):
            for _, inner in self._here(schema, value):
                self.check(inner, value)
                self.mark(inner, value)

    def _here(self, schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
        yield from within(schema, ("allOf", "anyOf", "oneOf", "not", "if", "then", "else"))
        if "$ref" in schema:
            yield "$ref", self.root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        if isinstance(value, dict):
            for name, inner in schema.get("dependentSchemas", {}).items():
                if name in value:
                    yield "dependentSchemas", inner

    def _data(self, schema: Mapping[str, Any], value: Any) -> None:
        for one in [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]:
            self._compare(one, value)
        if isinstance(value, dict):
            self.looks += len(schema.get("required", []))
            for name, names in schema.get("dependentRequired", {}).items():
                self.looks += len(names) if name in value else 1

    def _compare(self, one: Any, other: Any) -> None:
        self.looks += 1
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            for inner, another in zip(one, other, strict=True):
                self._compare(inner, another)
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            for name in one:
                self._compare(one[name], other[name])

    def _scalars(self, schema: Mapping[str, Any], value: Any) -> None:
        if isinstance(value, str) and "pattern" in schema:
            self.looks += PATTERNS[schema["pattern"]] * len(value.encode()) // 4
        if isinstance(value, str) and "maxLength" in schema:
            self.looks += len(value) // 64
        if isinstance(value, int | float) and not isinstance(value, bool) and "multipleOf" in schema:
            parts = (*Fraction(value).as_integer_ratio(), *Fraction(schema["multipleOf"]).as_integer_ratio())
            whole = isinstance(value, int) or float(schema["multipleOf"]).is_integer()
            self.looks += sum(part.bit_length() for part in parts) // (10 if whole else 2)
        if schema.get("uniqueItems"):
            self._compare(value, value)

    def _properties(self, schema: Mapping[str, Any], value: Mapping[str, Any], inside: bool) -> None:
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        self.looks += len(named)
        for name, element in value.items():
            if name in named:
                self.check(named[name], element, inside)
            matched = False
            for pattern, inner in patterns.items():
                self.looks += 2 * PATTERNS[pattern] * len(name.encode()) // 4
                if re.search(pattern, name):
                    matched = True
                    self.check(inner, element, inside)
            if "additionalProperties" in schema and name not in named and not matched:
                self.check(schema["additionalProperties"], element, inside)
            for keyword, looked_at in (("propertyNames", name), ("unevaluatedProperties", element)):
                if keyword in schema:
                    self.check(schema[keyword], looked_at, inside)


def looks(schema: Any, properties: Any) -> Evaluator:
    evaluator = Evaluator(schema)
    evaluator.check(schema, properties)
    return evaluator


def nested(depth: int, keyword: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for level in range(depth):
        other = {"properties": {f"y{level}": True}}
        schema = {keyword: [schema, other], "unevaluatedProperties": {"type": "integer"}}
    return schema


DEEP = [[[number] for number in range(40)] for _ in range(20)]
ATTACKS: list[tuple[str, Any, str]] = [
    ("names of a dependency", {"dependentRequired": {"x": [f"n{n}" for n in range(4_000)]}}, "make it simpler"),
    ("names of an old dependency", {"dependencies": {"x": [f"n{n}" for n in range(4_000)]}}, "make it simpler"),
    ("an enum of a few large values", {"enum": [DEEP, DEEP]}, "make it simpler"),
    ("a large const", {"const": {"k": DEEP, "l": DEEP}}, "make it simpler"),
    ("a const of long text", {"const": ["x" * 64_000, "y" * 64_000]}, "make it simpler"),
    ("a tiny divisor", {"multipleOf": 1e-300}, "it takes too long to divide by it"),
    ("a huge divisor", {"multipleOf": 1e300}, "it takes too long to divide by it"),
    ("many divisors", {"allOf": [{"multipleOf": 0.01}] * 20}, "make it simpler"),
    ("what others leave, again and again", nested(15, "anyOf"), "make it simpler"),
    ("what all leave, again and again", nested(15, "allOf"), "make it simpler"),
]


@pytest.mark.parametrize(("name", "attack", "words"), ATTACKS, ids=[name for name, _, _ in ATTACKS])
def test_a_schema_that_costs_too_much_is_refused(name: str, attack: Any, words: str):
    for place in ({"properties": {"a": {"items": attack}}}, {"$defs": {"a": attack}, "$ref": "#/$defs/a"}):
        with pytest.raises(SchemaInvalid, match=words):
            PropertySchema(place)


BITS = "".join("1" if number * number % 7 < 3 else "0" for number in range(32_000))
HEAVY: list[tuple[Any, Any]] = [
    ({"pattern": "1[01]{3000}2"}, BITS),
    ({"allOf": [{"pattern": "1[01]{300}2"}] * 20}, BITS[:3_000]),
    ({"propertyNames": {"pattern": "1[01]{3000}2"}}, {BITS: 1}),
    ({"patternProperties": {"1[01]{3000}2": {}}}, {BITS: 1}),
    ({"items": {"multipleOf": 0.01}}, [1.25e-300] * 400),
    ({"allOf": [{"format": "idn-hostname"}] * 200}, "é." * 10_000),
]


@pytest.mark.parametrize(("schema", "value"), HEAVY)
def test_an_event_that_costs_too_much_does_not_fit(schema: Any, value: Any):
    made = PropertySchema({"properties": {"a": schema}})
    properties = {"a": value}
    assert [fault.message for fault in made.faults(properties, len(json.dumps(properties)))] == [TOO_MUCH]


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_the_faults_of_many_alternatives_are_not_looked_for(keyword: str):
    made = PropertySchema({"properties": {"a": {keyword: [{"items": {"type": "string"}}] * 10}}})
    few, many = {"a": [1]}, {"a": [1] * 3_000}
    assert [fault.field for fault in made.faults(few, 10)] == ["properties.a"]
    assert [fault.message for fault in made.faults(many, 10_000)] == [UNTOLD]


ORDINARY = {
    "properties": {
        **{f"id{n}": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{27}$"} for n in range(20)},
        **{f"price{n}": {"type": "number", "multipleOf": 0.01} for n in range(8)},
        "kind": {"enum": [f"kind-{n}" for n in range(200)]},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"], "additionalProperties": True}},
        "note": {"type": "string", "maxLength": 30_000, "format": "email"},
    },
    "unevaluatedProperties": False,
}


def test_an_ordinary_schema_and_a_large_event_are_not_in_the_way():
    made = PropertySchema(ORDINARY)
    properties = {
        **{f"id{n}": "01234567-89ab-0123456789abcdef0123456789a" for n in range(20)},
        **{f"price{n}": 19.99 for n in range(8)},
        "kind": "kind-199",
        "lines": [{"sku": f"s{n}", "count": n} for n in range(600)],
        "note": "a@example.com",
    }
    assert TOO_MUCH not in {fault.message for fault in made.faults(properties, len(json.dumps(properties)))}
    plain = PropertySchema({"properties": {"a": {"items": {"type": "integer"}}}})
    assert plain.faults({"a": list(range(20_000))}, 130_000) == []


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        *PATTERNS.items(),
        (r"\p{L}{3}\u{41}", 4),
        (r"[\]a]{5}", 5),
        ("(?:a{2}){3,}", 8),
        ("a{3", 3),
        ("(((", 0),
        ("a{0}", 0),
    ],
)
def test_states_are_not_counted_too_low(pattern: str, states: int):
    assert states <= states_of(pattern) <= 2 * states + 40


scalars = st.sampled_from(
    [0, 1, -7, 2.5, 0.1, 1e300, 1.25e-300, 5e-324, True, None, "a", "ab" * 40, BITS[:600], "é" * 99]
)
small = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@st.composite
def data(draw: st.DrawFn) -> Any:
    """A value, or so many of it that they are a lot."""
    value = draw(small)
    return [value] * draw(st.sampled_from([1, 3, 40, 300])) if draw(st.booleans()) else value


plain_keywords: list[st.SearchStrategy[dict[str, Any]]] = [
    st.just({"type": ["string", "integer"]}),
    st.fixed_dictionaries({"enum": st.lists(data(), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"enum": st.integers(1, 900).map(lambda count: list(range(count)))}),
    st.fixed_dictionaries({"const": data()}),
    st.fixed_dictionaries({"multipleOf": st.sampled_from([1, 7, 0.01, 1e-9, 1e15, 1e-300])}),
    st.fixed_dictionaries({"pattern": st.sampled_from(sorted(PATTERNS))}),
    st.fixed_dictionaries({"required": st.integers(1, 900).map(lambda count: [f"n{n}" for n in range(count)])}),
    st.fixed_dictionaries(
        {"dependentRequired": st.integers(1, 900).map(lambda count: {"a": [f"n{n}" for n in range(count)]})}
    ),
    st.just({"uniqueItems": True, "maxLength": 5}),
    st.fixed_dictionaries({"$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"])}),
    st.sampled_from([{"unevaluatedProperties": False}, {"unevaluatedItems": {"type": "string"}}, {}]),
]


def containing(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(inner, min_size=1, max_size=3)
    many = st.tuples(inner, st.sampled_from([1, 5, 60])).map(lambda pair: [pair[0]] * pair[1])
    named = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, min_size=1)
    of_patterns = st.dictionaries(st.sampled_from(sorted(PATTERNS)), inner, min_size=1, max_size=3)
    return st.one_of(
        *(st.fixed_dictionaries({keyword: some | many}) for keyword in ("allOf", "anyOf", "oneOf", "prefixItems")),
        *(
            st.fixed_dictionaries({keyword: inner})
            for keyword in ("not", "if", "then", "items", "contains", "additionalProperties", "propertyNames")
        ),
        *(st.fixed_dictionaries({keyword: named}) for keyword in ("properties", "dependentSchemas")),
        st.fixed_dictionaries({"patternProperties": of_patterns}),
        st.fixed_dictionaries({"unevaluatedProperties": inner, "anyOf": some}),
    )


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {keyword: inner for part in parts for keyword, inner in part.items()}


leaves = st.lists(st.one_of(plain_keywords), max_size=2).map(merged)
schemas = st.recursive(
    leaves, lambda inner: st.lists(containing(inner) | leaves, min_size=1, max_size=3).map(merged), max_leaves=8
)
no_reference = schemas.map(lambda schema: json.loads(json.dumps(schema).replace('"$ref"', '"title"')))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(schema=schemas, one=no_reference, two=no_reference, values=st.lists(data(), min_size=3, max_size=3))
def test_no_check_costs_more_than_its_bound(schema: Any, one: Any, two: Any, values: list[Any]):
    schema = {"properties": dict.fromkeys("abc", schema), "$defs": {"one": one, "two": two}} | schema
    schema["$defs"] = {"one": one, "two": two}
    try:
        made = PropertySchema(schema)
    except SchemaInvalid:
        return
    properties = dict(zip("abc", values, strict=True))
    messages = [fault.message for fault in made.faults(properties, len(json.dumps(properties)))]
    assert len(messages) <= MAX_FAULTS
    if messages == [TOO_MUCH]:
        return
    work = looks(schema, properties)
    assert work.looks <= MAX_CHECKED, "looks"
    if messages and messages != [UNTOLD]:
        assert work.faults_built <= MAX_LOOKED_AT, "faults"
