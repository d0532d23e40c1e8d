"""The event as analytics vendors take it: one flat object of properties, and a UUID that is its id."""

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

from headgate.v1 import event_pb2

from headgate_sinks.formats.event_fields import FIELDS

_NAMESPACE = UUID("188651ff-39b1-418f-98b6-296523d7cea9")
_NIL = UUID(int=0)
# Of the event's JSON form: where a field is, and the name of the property it becomes.
_FIELDS = tuple(
    (re.sub("_([a-z])", lambda letter: letter[1].upper(), field.path), field.flat) for field in FIELDS if field.flat
)


def event_uuid(event: event_pb2.Event) -> str:
    """The event's id where it is a UUID, else one made from it and the project, the same each time."""
    try:
        given = UUID(event.event_id)
    except ValueError:
        given = _NIL
    # The nil UUID is a placeholder: some vendors refuse it.
    return str(uuid5(_NAMESPACE, f"{event.project_id}/{event.event_id}") if given == _NIL else given)


def flat_properties(fields: dict[str, Any], reserved: Iterable[str]) -> dict[str, Any]:
    """The client's properties and, where they leave the name free, the event's own fields. `fields` is `event_json` of
    the event. A property of the client's whose name is `reserved` is called `property_` and that name instead."""
    properties: dict[str, Any] = dict(fields.get("properties", {}))
    for name in reserved:
        if name in properties:
            value = properties.pop(name)
            properties.setdefault(f"property_{name}", value)
    for path, name in _FIELDS:
        value = at(fields, path)
        # A weight of 1 is that of every event which nobody sampled.
        if value is not None and (name != "sample_weight" or value != 1):
            properties.setdefault(name, value)
    return properties


def at(fields: dict[str, Any], path: str) -> Any:
    """What is at `part.field`, or None."""
    part, _, field = path.rpartition(".")
    return (fields.get(part, {}) if part else fields).get(field)
