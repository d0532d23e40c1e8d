"""API 1, Codcompass: `POST /api/analytics`, public batches that are hardly validated."""

from collections.abc import Mapping
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.formats.browser import person_of, same_origin
from headgate_dialects.formats.moment import Moment, iso8601, unix
from headgate_dialects.parts.codcompass_oversize import shortened
from headgate_dialects.parts.codcompass_usual import usual_request
from headgate_dialects.sdk.api import NO_KEYS, Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import ERROR, MONTH_FULL, Cause, Refusals, Row, error
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 4 * 1024 * 1024

_NOT_STORED = error("Failed to process events")
_FORBIDDEN = error("Origin not allowed")

# No credential opens this door, so a refusal of one is a fault of the operator's map from route to project: nothing
# was stored, and nothing that the client could change would help.
_UNMAPPED = Row(503, "The operator has given this route no project that takes events.", _NOT_STORED)

_ROWS: Mapping[Cause, Row] = {
    Rejection.NOT_JSON: Row(500, "The body is not JSON, or malformed.", _NOT_STORED),
    Rejection.INVALID: Row(400, "`events` is missing or not an array.", error("Invalid events")),
    Rejection.CREDENTIAL_MISSING: _UNMAPPED,
    Rejection.FOREIGN_ORIGIN: Row(403, "A page of another site asks.", _FORBIDDEN),
    Rejection.METHOD: Row(405, "Only POST and OPTIONS are taken here.", error("Method not allowed")),
    Rejection.TOO_LARGE: Row(413, "Too many bytes or events.", error("Payload too large")),
    Rejection.MEDIA_TYPE: Row(415, "A content type or encoding that is not read.", error("Unsupported media type")),
    Rejection.SLOW: Row(408, "The body did not arrive in time.", error("Request timeout")),
    outcome_pb2.CAUSE_UNSPECIFIED: Row(503, "Not confirmed.", _NOT_STORED),
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: _UNMAPPED,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: _UNMAPPED,
    outcome_pb2.CAUSE_CREDENTIAL_KIND: _UNMAPPED,
    outcome_pb2.CAUSE_SCOPE_MISSING: _UNMAPPED,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: Row(403, "The origin may not write to the project.", _FORBIDDEN),
    outcome_pb2.CAUSE_PROJECT_GONE: _UNMAPPED,
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: Row(403, "The project does not allow the origin.", _FORBIDDEN),
    outcome_pb2.CAUSE_INVALID: Row(400, "The project's policy takes none of it.", error("Invalid events")),
    outcome_pb2.CAUSE_TOO_LARGE: Row(413, "Too many bytes or events.", error("Payload too large")),
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: Row(
        422, "The Idempotency-Key was used for another body.", error("Idempotency key reused")
    ),
    outcome_pb2.CAUSE_RATE_LIMITED: Row(429, "Too many requests in this window.", error("Rate limit exceeded")),
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: Row(429, "The events do not fit in the month's limit.", MONTH_FULL),
    outcome_pb2.CAUSE_UNAVAILABLE: Row(503, "Not confirmed: retry with the same Idempotency-Key.", _NOT_STORED),
}

# The fields that the document names, with the JSON type that it gives them.
_FIELDS: Mapping[str, type] = {"type": str, "payload": dict, "userId": str, "sessionId": str}


class Codcompass:
    """The dialect. Received are the events it could extract, but for those that the project's policy refuses. Every
    element of `events` that is an object is one; any other is refused, in the books alone."""

    api = Api(
        "codcompass",
        "Codcompass",
        (Route("/api/analytics"),),
        key_kinds=NO_KEYS,
        event_ids=False,
        max_body_bytes=MAX_BODY_BYTES,
        credentials_allowed=False,
    )

    _refusals = Refusals(_ROWS, MAX_BODY_BYTES)

    def parse(self, inbound: Inbound) -> Parsed:
        if len(inbound.body) > document.FEW_BYTES and (count := document.too_many(inbound.body)):
            raise Unparsable(Rejection.TOO_LARGE, refused=count, limit=document.MAX_EVENTS)
        if (usual := usual_request(inbound.body)) is not None:
            return Parsed(usual, _person(inbound.headers))
        envelope = document.read(inbound.body)
        values = envelope.get("events") if isinstance(envelope, dict) else None
        if not isinstance(values, list):
            raise Unparsable(Rejection.INVALID, [Fault(None, "events", "must be an array")])
        if len(values) > document.MAX_EVENTS:
            raise Unparsable(Rejection.TOO_LARGE, refused=len(values), limit=document.MAX_EVENTS)
        request = ingest_service_pb2.GatheredRequest()
        events = request.entry.events
        client_time = _client_time(envelope.get("timestamp"))
        places = [place for place, value in enumerate(values) if type(value) is dict]
        for place in places:
            value = values[place]
            large = document.oversize(value, inbound.body) is not None
            _write(shortened(value) if large else value, client_time, events.add())
        refused = len(values) - len(places)
        # Who is signed in beside it may add what its events lack.
        return Parsed(
            request,
            _person(inbound.headers),
            refused=refused,
            refused_reason=outcome_pb2.REASON_NOT_AN_OBJECT,
            places=places if refused else (),
        )

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        skipped = sum(result.outcome == outcome_pb2.OUTCOME_REFUSED for result in response.results)
        return Answer(200, {"success": True, "received": len(parsed.events) - skipped})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(ERROR)}

    def components(self) -> dict[str, Any]:
        return {}


def _person(headers: Mapping[str, str]) -> str:
    """Who is signed in. A page of another site has the browser send the cookie too: then nobody is."""
    person = person_of(headers)
    return "" if person.startswith("session:") and not same_origin(headers) else person


def _write(value: dict[str, Any], client_time: Moment | None, event: event_pb2.Event) -> None:
    get = value.get
    name, payload, person, session = get("type"), get("payload"), get("userId"), get("sessionId")
    fitting = (type(name) is str) + (type(payload) is dict) + (type(person) is str) + (type(session) is str)
    if fitting < len(value):
        known = {field: value[field] for field, kind in _FIELDS.items() if isinstance(value.get(field), kind)}
        name, person, session = known.get("type"), known.get("userId"), known.get("sessionId")
        # A named field of another type than the document's is still what the client said: a property.
        rest = {
            key: kept for key, kept in value.items() if key not in known and (key not in _FIELDS or kept is not None)
        }
        payload = rest | known.get("payload", {})
    event.name = name or "undefined"
    if person:
        event.user_id = person
    if session:
        event.session_id = session
    event.distinct_id = person or session or ""
    if client_time is not None:
        client_time.write(event.client_time)
    document.keep(event, payload or {})


def _client_time(timestamp: object) -> Moment | None:
    moment = None
    if isinstance(timestamp, str):
        moment = iso8601(timestamp)
    elif isinstance(timestamp, int | float) and not isinstance(timestamp, bool):
        moment = unix(timestamp)
    return moment if moment is not None and moment.storable else None


_EVENT = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "description": "What happened. An event without it is named `undefined`."},
        "payload": {"type": "object", "description": "The event's properties."},
        "userId": {"type": "string"},
        "sessionId": {"type": "string"},
    },
    "description": "Further fields become properties where `payload` has none of their name.",
}
_OK = {
    "description": "Every event that could be extracted is stored.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["success", "received"],
                "properties": {"success": {"const": True}, "received": {"type": "integer", "minimum": 0}},
            },
            "example": {"success": True, "received": 2},
        }
    },
}
_OPERATION = {
    "operationId": "postCodcompassAnalytics",
    "tags": ["Codcompass"],
    "summary": "Take in a batch of events from a public client",
    "description": "Only `events` being an array is validated; an element that is not an object is not received. "
    "An event over 64 KiB, or a string over 32 KiB, is cut, and `$truncated` marks it.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["events"],
                    "properties": {
                        "events": {"type": "array", "maxItems": document.MAX_EVENTS, "items": _EVENT},
                        "timestamp": {
                            "type": ["string", "number"],
                            "description": "When the batch was made: ISO 8601, or Unix seconds (above 1e11: "
                            "milliseconds). Ignored where it cannot be read.",
                        },
                    },
                },
                "example": {
                    "timestamp": "2026-11-20T08:15:00Z",
                    "events": [{"type": "page_view", "payload": {"url": "/pricing"}, "sessionId": "s-1"}],
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [Codcompass()]
