"""The event as JSON, against protobuf's own mapping."""

import json

from google.protobuf.json_format import MessageToDict
from headgate.v1 import event_pb2
from headgate_sinks import event_json, event_line
from headgate_sinks.formats.event_json import event_lines
from headgate_sinks.formats.event_row import COLUMNS
from hypothesis import example, given
from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
times = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.integers(-62135596800, 253402300799),
    st.one_of(st.just(0), st.integers(0, 999).map(lambda ms: ms * 1_000_000), st.integers(0, 999_999_999)),
)
events = st.builds(
    event_pb2.Event,
    event_id=texts,
    name=texts,
    occur_time=st.none() | times,
    receive_time=st.none() | times,
    client_time=st.none() | times,
    project_id=texts,
    user_id=texts,
    distinct_id=texts,
    anonymous_id=texts,
    session_id=texts,
    page=st.none() | st.builds(event_pb2.Page, href=texts, domain=texts, path=texts, title=texts, canonical_url=texts),
    request=st.none() | st.builds(event_pb2.Request, user_agent=texts, client_ip=texts, method=texts),
    sdk=st.none() | st.builds(event_pb2.Sdk, name=texts, version=texts, runtime=texts),
    experiment=st.none()
    | st.builds(event_pb2.Experiment, experiment_id=texts, variant_id=texts, conversion=st.booleans()),
    campaign=st.none()
    | st.builds(event_pb2.Campaign, source=texts, medium=texts, campaign=texts, term=texts, content=texts),
    test=st.booleans(),
    dialect=st.integers(0, 7).filter(lambda number: number != event_pb2.DIALECT_PLUGIN),
    sample_weight=st.floats(allow_nan=False, allow_infinity=False),
)


@example(event_pb2.Event(sample_weight=-0.0))
@given(events)
def test_it_is_protobufs_mapping_in_the_order_of_the_fields(event):
    assert list(event_json(event).items()) == list(MessageToDict(event).items())
    assert event_lines([event, event]) == 2 * (event_line(event) + b"\n")


def test_every_field_of_the_event_has_a_place():
    known = set(event_json(full_event()))
    assert known == {field.json_name for field in event_pb2.Event.DESCRIPTOR.fields} - {"propertiesJson", "dialectName"}
    for name in ("page", "request", "sdk", "experiment", "campaign"):
        fields = event_pb2.Event.DESCRIPTOR.fields_by_name[name].message_type.fields
        assert set(event_json(full_event())[name]) == {field.json_name for field in fields}


def test_a_dialect_without_a_number_is_spelt_as_if_it_had_one():
    event = event_pb2.Event(dialect=event_pb2.DIALECT_PLUGIN, dialect_name="acme")
    assert event_json(event) == {"dialect": "DIALECT_ACME"}
    assert [column.read(event) for column in COLUMNS if column.name == "dialect"] == ["DIALECT_ACME"]


def full_event() -> event_pb2.Event:
    event = event_pb2.Event(properties_json=b'{"a":1}')
    for field in event.DESCRIPTOR.fields:
        if field.message_type is None:
            if field.name != "properties_json":
                setattr(event, field.name, {"string": "x", "bool": True, "enum": 1, "double": 1.0}[kind(field)])
        elif field.name != "properties":
            part = getattr(event, field.name)
            for inner in field.message_type.fields:
                setattr(part, inner.name, {"string": "x", "bool": True, "int": 5}[kind(inner)])
    return event


def kind(field) -> str:
    return {9: "string", 8: "bool", 14: "enum", 1: "double", 3: "int", 5: "int"}[field.type]


def test_a_line_is_written_as_it_always_was():
    event = event_pb2.Event(
        event_id="e",
        name='say "hi"\u2028\x01',
        occur_time={"seconds": 1, "nanos": 5_000_000},
        page={},
        sample_weight=1e17,
    )
    event.properties_json = b'{"a": 1.0}'
    assert (
        event_line(event)
        == (
            '{"eventId":"e","name":"say \\"hi\\"\u2028\\u0001","occurTime":"1970-01-01T00:00:01.005Z","page":{},'
            '"sampleWeight":1e+17,"properties":{"a": 1.0}}'
        ).encode()
    )


def test_integers_of_properties_are_exact():
    event = event_pb2.Event(properties_json=b'{"a":18446744073709551615,"b":-9223372036854775808,"c":1.5}')
    expected = {"a": 18446744073709551615, "b": -9223372036854775808, "c": 1.5}
    assert event_json(event)["properties"] == expected
    assert json.loads(event_line(event))["properties"] == expected


def test_a_line_is_one_line_whatever_the_properties_look_like():
    event = event_pb2.Event(name="a\nb", properties_json=b'{\n"a": "x\\ny",\r\n "n": 123456789012345678901}')
    line = event_line(event)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line)["properties"] == {"a": "x\ny", "n": 123456789012345678901}


def test_a_struct_counts_where_there_are_no_properties_as_json():
    event = event_pb2.Event()
    event.properties.update({"a": [1.0, None, "x"]})
    assert event_json(event) == {"properties": {"a": [1.0, None, "x"]}}
