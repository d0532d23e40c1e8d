"""A canonical event as JSON."""

from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from headgate.v1 import event_pb2


def event_json(event: event_pb2.Event) -> dict[str, Any]:
    """Protobuf's JSON mapping, but for `properties`, which are an object in the text that was stored: for orjson."""
    mapped: dict[str, Any] = MessageToDict(event)
    if name := mapped.pop("dialectName", ""):
        mapped["dialect"] = f"DIALECT_{name.upper()}"
    if mapped.pop("propertiesJson", None):
        mapped["properties"] = orjson.Fragment(event.properties_json)
    return mapped
