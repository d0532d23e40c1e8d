"""The table of event fields, against the protobuf contract."""

from headgate.v1 import event_pb2
from headgate_sinks.formats.event_fields import FIELDS


def test_every_field_of_the_contract_is_in_the_table_once():
    # `properties` stands in requests only, and `dialect_name` is written in the place of `dialect`.
    paths = [path for path in contract(event_pb2.Event.DESCRIPTOR) if path not in ("properties", "dialect_name")]
    assert sorted(field.path for field in FIELDS) == sorted(paths)


def test_no_two_fields_share_a_name():
    for names in (
        [field.column_name for field in FIELDS],
        [field.store for field in FIELDS if field.store],
        [field.flat for field in FIELDS if field.flat],
        [key for field in FIELDS for key in field.query],
    ):
        assert len(names) == len(set(names))


def contract(message) -> list[str]:
    paths: list[str] = []
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.file is event_pb2.DESCRIPTOR:
            paths += [f"{field.name}.{path}" for path in contract(inner)]
        else:
            paths.append(field.name)
    return paths
