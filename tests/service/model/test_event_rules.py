"""What an event of a gRPC caller may be, at its limits."""

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2, outcome_pb2
from headgate_service.model.event_rules import (
    MAX_DEPTH,
    MAX_PROPERTIES_BYTES,
    MAX_STRING_BYTES,
    EventFault,
    stored_form,
)

STRINGS = ["name", "user_id", "distinct_id", "anonymous_id", "session_id"]


def of(**fields) -> event_pb2.Event:
    return event_pb2.Event(**{"name": "x"} | fields)


def deep(depth: int) -> dict:
    value: dict = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def fault(event: event_pb2.Event) -> tuple[int, str] | None:
    found: EventFault | None = stored_form(event)
    return None if found is None else (found.reason, found.field)


@pytest.mark.parametrize("field", STRINGS)
def test_a_string_may_be_32_kib(field):
    assert fault(of(**{field: "\u00fc" * (MAX_STRING_BYTES // 2)})) is None
    assert fault(of(**{field: "\u00fc" * (MAX_STRING_BYTES // 2) + "a"})) == (outcome_pb2.REASON_TOO_LARGE, field)


def test_an_event_id_may_be_256_bytes():
    assert fault(of(event_id="\u00fc" * 128)) is None
    assert fault(of(event_id="\u00fc" * 128 + "a")) == (outcome_pb2.REASON_TOO_LARGE, "event_id")


@pytest.mark.parametrize("form", ["properties", "properties_json"])
def test_so_may_a_string_of_the_properties(form):
    def with_string(text: str) -> event_pb2.Event:
        properties = {"a": {"b": [text]}}
        if form == "properties_json":
            return of(properties_json=orjson.dumps(properties))
        return of(properties=json_format.ParseDict(properties, Struct()))

    assert fault(with_string("a" * MAX_STRING_BYTES)) is None
    assert fault(with_string("a" * (MAX_STRING_BYTES + 1))) == (outcome_pb2.REASON_TOO_LARGE, "properties")


def test_an_event_may_be_64_kib():
    half = "a" * (MAX_PROPERTIES_BYTES // 2 - 50)
    assert fault(of(properties_json=orjson.dumps({"a": half, "b": half}))) is None
    assert fault(of(properties_json=orjson.dumps({"a": half, "b": half, "c": "a" * 100}))) == (
        outcome_pb2.REASON_TOO_LARGE,
        "",
    )


def test_what_counts_is_the_length_of_the_form_that_is_stored():
    numbers = b'{"a":[' + b",".join([b"1e15"] * 4000) + b"]}"
    assert len(numbers) < MAX_STRING_BYTES
    assert fault(of(properties_json=numbers)) == (outcome_pb2.REASON_TOO_LARGE, "")
    spaces = b'{"a":' + b" " * MAX_PROPERTIES_BYTES + b"1}"
    event = of(properties_json=spaces)
    assert fault(event) is None
    assert event.properties_json == b'{"a":1}'
    # A Struct's numbers take nine bytes each, and up to 24 characters.
    struct = of(properties=json_format.ParseDict({"a": [0.1234567890123456] * 4000}, Struct()))
    assert fault(struct) == (outcome_pb2.REASON_TOO_LARGE, "")


@pytest.mark.parametrize("form", ["properties", "properties_json"])
def test_properties_may_be_32_levels_deep(form):
    def with_depth(depth: int) -> event_pb2.Event:
        if form == "properties_json":
            return of(properties_json=orjson.dumps(deep(depth)))
        return of(properties=json_format.ParseDict(deep(depth), Struct()))

    assert fault(with_depth(MAX_DEPTH)) is None
    assert fault(with_depth(MAX_DEPTH + 1)) == (outcome_pb2.REASON_INVALID, "properties")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_struct_holds_only_numbers_that_json_has(number):
    properties = Struct()
    properties.fields["a"].number_value = number
    assert fault(of(properties=properties)) == (outcome_pb2.REASON_INVALID, "properties")


def test_brackets_in_strings_are_no_levels():
    assert fault(of(properties_json=orjson.dumps({"a": "{[" * 40}))) is None


@pytest.mark.parametrize("field", ["occur_time", "client_time"])
@pytest.mark.parametrize(
    "time", [Timestamp(seconds=-62135596801), Timestamp(seconds=253402300800), Timestamp(nanos=-1)], ids=str
)
def test_a_time_is_one_of_the_years_1_to_9999(field, time):
    assert fault(of(**{field: Timestamp(seconds=-62135596800)})) is None
    assert fault(of(**{field: time})) == (outcome_pb2.REASON_INVALID, field)


def test_a_name_is_required():
    assert fault(event_pb2.Event(distinct_id="u")) == (outcome_pb2.REASON_INVALID, "name")


@pytest.mark.parametrize(
    ("given", "kept"), [(b'{"a": 1}', b'{"a":1}'), (b"{}", b""), (b'{"n":18446744073709551615}', None), (b"", b"")]
)
def test_properties_are_kept_in_short(given, kept):
    event = of(properties_json=given)
    assert fault(event) is None
    assert event.properties_json == (given if kept is None else kept)


def test_what_the_service_sets_is_dropped():
    own = {"project_id": "p", "sample_weight": -0.0, "dialect": event_pb2.DIALECT_XAIKU, "receive_time": Timestamp()}
    event = of(**own)
    assert fault(event) is None
    assert event == of()
