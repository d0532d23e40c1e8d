"""The JSON document of a request, and what every dialect does alike with it."""

from collections.abc import Mapping
from typing import Any

import orjson
from headgate.v1 import event_pb2

from headgate_gateway.dialects.dialect import Fault, Unparsable
from headgate_gateway.http import strict_json
from headgate_gateway.http.rejection import Rejection

MAX_EVENTS = 10_000
"""Events in one request, of the APIs that name no lower number themselves."""


def read(body: bytes, *, credential: str | None = None, project: str = "") -> Any:
    """The JSON value of `body`; Unparsable with NOT_JSON where it is none by the strict rules of all dialects."""
    try:
        return strict_json.loads(body)
    except strict_json.Malformed as malformed:
        fault = Fault(None, "body", str(malformed))
        raise Unparsable(Rejection.NOT_JSON, [fault], credential=credential, project=project) from malformed


def oversize(event: object, body: bytes) -> str | None:
    """What is too large about `event`, a part of `body`; None where nothing is."""
    return strict_json.oversize(event) if strict_json.may_be_oversize(body) else None


def keep(event: event_pb2.Event, properties: Mapping[str, Any]) -> None:
    """Writes `properties` to the event; an empty object is absence."""
    if properties:
        event.properties_json = orjson.dumps(properties)


def name_person(event: event_pb2.Event) -> None:
    """Sets whom the event counts for, where the API does not say it itself."""
    event.distinct_id = event.user_id or event.anonymous_id or event.session_id
