"""An event that went through the store is the same event, byte for byte."""

import itertools

import pytest
from google.protobuf.descriptor import FieldDescriptor
from headgate.v1 import event_pb2
from headgate_sinks.store.rebuilt import RowsBroken, rebuilt
from headgate_sinks.store.rows import COLUMNS, row, rows

TEXTS = ["x", "", "ü\U0001f600\n\t\0\\'", "l" * 5000]
TIMES = [
    {"seconds": 1795262400, "nanos": 123_000_000}, {"seconds": 1795262400, "nanos": 123_456_789}, {},
    {"seconds": -5, "nanos": 999_999_999}, {"seconds": -62135596800}, {"seconds": 253402300799, "nanos": 999_999_999},
    {"nanos": 1},
]  # fmt: skip
PROPERTIES = [b"", b"{}", b'{"a":1e400,"b":[null,"\\u0000"],"n":18446744073709551616}', b'{"a.b":1,"a":{"b":2}}']


def event(**fields: object) -> event_pb2.Event:
    given = {
        "project_id": "p", "event_id": "e", "name": "n", "sample_weight": 1.0, "occur_time": {"seconds": 1795262400},
        "receive_time": {"seconds": 1795262400, "nanos": 7_000_000}, **fields,
    }  # fmt: skip
    return event_pb2.Event(**given)


def values(field: FieldDescriptor) -> list[object]:
    """Some of each field's, and of the fields within it."""
    if field.message_type is not None and field.message_type.full_name.endswith("Timestamp"):
        return TIMES
    if field.message_type is not None:
        inner = [{one.name: value} for one in field.message_type.fields for value in values(one)]
        return [{}, {one.name: values(one)[0] for one in field.message_type.fields}, *inner]
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return TEXTS
        case FieldDescriptor.TYPE_BYTES:
            return PROPERTIES
        case FieldDescriptor.TYPE_BOOL:
            return [True, False]
        case FieldDescriptor.TYPE_DOUBLE:
            return [1.0, 0.1, 20.0]
        case FieldDescriptor.TYPE_ENUM:
            return [*field.enum_type.values_by_number, 77]
    raise AssertionError(field.name)


# `properties` is in requests only, and never stored.
FIELDS = [field for field in event_pb2.Event.DESCRIPTOR.fields if field.name != "properties"]


def cases() -> list[event_pb2.Event]:
    one_each = [event(**{field.name: value}) for field in FIELDS for value in values(field)]
    full = {field.name: next(value for value in values(field) if value) for field in FIELDS}
    dialects = [
        event(**full | {"dialect": dialect, "dialect_name": name, "client_time": time})
        for dialect, name, time in itertools.product(
            event_pb2.Dialect.values(), ("", "segment"), (TIMES[0], TIMES[3], None)
        )
    ]
    return [*one_each, *dialects, *(event(**full | {field.name: None}) for field in FIELDS)]


def whole(data: bytes) -> list[bytes]:
    return [one.SerializeToString(deterministic=True) for one, _ in rebuilt(data)]


def same(one: event_pb2.Event) -> bytes:
    """As the log completes it."""
    completed = event_pb2.Event()
    completed.CopyFrom(one)
    completed.sample_weight = one.sample_weight or 1.0
    if not completed.HasField("occur_time"):
        completed.occur_time.CopyFrom(completed.receive_time)
    completed.receive_time.SetInParent()
    return completed.SerializeToString(deterministic=True)


def test_each_field_and_each_dialect_comes_back():
    events = cases()
    assert len(events) > 150
    assert whole(rows(events)) == [same(one) for one in events]


async def test_the_store_gives_back_what_it_got(store):
    events = cases()
    for number, one in enumerate(events):
        one.event_id, one.project_id = f"e{number:05d}", "p"
    await store.ask(f"INSERT INTO events ({', '.join(COLUMNS)}) FORMAT RowBinary", rows(events))
    asked = " ".join(("SELECT", ", ".join(COLUMNS), "FROM events ORDER BY event_id FORMAT RowBinary"))
    assert whole(await store.ask_bytes(asked)) == [same(one) for one in events]


def test_what_is_cut_off_is_no_event():
    whole_row = row(event(properties_json=b"{}"))
    for end in range(1, len(whole_row)):
        with pytest.raises(RowsBroken):
            list(rebuilt(whole_row[:end]))


def test_a_plain_event_costs_one_byte_more():
    assert row(event()).endswith(b"\0")
