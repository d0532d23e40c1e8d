"""API 3, RealAnalytics: `POST /`, one event or up to a hundred, all of them valid or none taken."""

from collections.abc import Mapping
from typing import Any

from headgate.v1 import ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.formats.moment import iso8601
from headgate_dialects.parts.realanalytics_usual import MAX_EVENTS, MAX_NAME, MAX_PROPERTIES, usual_request
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import (
    ERROR,
    MAX_DETAILS,
    MONTH_FULL,
    Cause,
    Refusals,
    Row,
    details,
    error,
    limit,
)
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 1024 * 1024

_NO_KEY = Row(401, "The key is missing, unknown, revoked, or of another kind.", error("Invalid API key"))
_INVALID = Row(400, "An event is not valid, or the body is not an event at all.", error("Validation failed", details))
_TOO_LARGE = Row(413, "More bytes than `limit`.", error("Payload too large", limit))

_ROWS: Mapping[Cause, Row] = {
    Rejection.NOT_JSON: _INVALID,
    Rejection.INVALID: _INVALID,
    Rejection.CREDENTIAL_MISSING: _NO_KEY,
    Rejection.FOREIGN_ORIGIN: Row(403, "A page of another site asks.", error("Origin not allowed")),
    Rejection.METHOD: Row(405, "Only POST and OPTIONS are taken here.", error("Method not allowed")),
    Rejection.TOO_LARGE: _TOO_LARGE,
    Rejection.MEDIA_TYPE: Row(415, "A content type or encoding that is not read.", error("Unsupported media type")),
    Rejection.SLOW: Row(408, "The body did not arrive in time.", error("Request timeout")),
    outcome_pb2.CAUSE_UNSPECIFIED: Row(503, "Not confirmed.", error("Service unavailable")),
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: _NO_KEY,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: _NO_KEY,
    outcome_pb2.CAUSE_CREDENTIAL_KIND: _NO_KEY,
    outcome_pb2.CAUSE_SCOPE_MISSING: _NO_KEY,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: _NO_KEY,
    outcome_pb2.CAUSE_PROJECT_GONE: _NO_KEY,
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: Row(403, "The project does not allow the origin.", error("Origin not allowed")),
    outcome_pb2.CAUSE_INVALID: _INVALID,
    outcome_pb2.CAUSE_TOO_LARGE: _TOO_LARGE,
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: Row(
        422, "The Idempotency-Key was used for another body.", error("Idempotency key reused")
    ),
    outcome_pb2.CAUSE_RATE_LIMITED: Row(429, "Too many requests in this window.", error("Rate limit exceeded")),
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: Row(429, "The events do not fit in the month's limit.", MONTH_FULL),
    outcome_pb2.CAUSE_UNAVAILABLE: Row(
        503, "Not confirmed: retry with the same Idempotency-Key.", error("Service unavailable")
    ),
}

_FIELDS = frozenset({"event", "timestamp", "distinctId", "sessionId", "properties"})


class RealAnalytics:
    """The dialect. The header's key wins over the body's `apiKey`."""

    api = Api("realanalytics", "RealAnalytics", (Route("/"),), event_ids=False, max_body_bytes=MAX_BODY_BYTES)

    _refusals = Refusals(_ROWS, MAX_BODY_BYTES)

    def parse(self, inbound: Inbound) -> Parsed:
        header = inbound.headers.get("x-api-key", "")
        if len(inbound.body) > document.FEW_BYTES and (count := document.too_many(inbound.body)):
            raise _wrong_number(count, header or document.text_of(inbound.body, "apiKey"))
        if header and (usual := usual_request(inbound.body)) is not None:
            return Parsed(usual, header, all_or_nothing=True)
        root = document.read(inbound.body, credential=header)
        in_body = root.pop("apiKey", None) if isinstance(root, dict) else None
        key = header or in_body
        if not isinstance(key, str) or not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        values = _values(root)
        if isinstance(values, Fault):
            raise Unparsable(Rejection.INVALID, [values], credential=key)
        if not 1 <= len(values) <= MAX_EVENTS:
            raise _wrong_number(len(values), key)
        request = ingest_service_pb2.GatheredRequest()
        events = request.entry.events
        for value in values:
            if not _write(value, events, inbound.body):
                raise Unparsable(Rejection.INVALID, _faults(values, inbound.body), credential=key, refused=len(values))
        return Parsed(request, key, all_or_nothing=True)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        return Answer(200, {"success": True, "events": len(parsed.events)})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(ERROR)}

    def components(self) -> dict[str, Any]:
        return {
            "securitySchemes": {
                "realanalyticsKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "A project's public or test key. A beacon, which can set no header, sends it as "
                    "`apiKey` in the envelope.",
                }
            },
            "schemas": {"RealAnalyticsEvent": _EVENT},
        }


def _wrong_number(count: int, key: str) -> Unparsable:
    if not key:
        return Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
    fault = Fault(None, "events", f"must hold 1 to {MAX_EVENTS} events, not {count}")
    return Unparsable(Rejection.INVALID, [fault], credential=key, refused=count)


def _values(root: object) -> list[Any] | Fault:
    """The events of any of the three shapes. An object that has `events` and no `event` is an envelope."""
    if isinstance(root, list):
        return root
    if not isinstance(root, dict):
        return Fault(None, "body", "must be an event, an array of events, or an object with `events`")
    if "events" not in root or "event" in root:
        return [root]
    values = root["events"]
    return values if isinstance(values, list) else Fault(None, "events", "must be an array of events")


def _write(value: Any, events: Any, body: bytes) -> bool:
    """Adds the event; says whether it is valid, and leaves what is wrong with it to `_event_faults`."""
    if type(value) is not dict:
        return False
    get = value.get
    name, timestamp, properties = get("event"), get("timestamp"), get("properties")
    person, session = get("distinctId"), get("sessionId")
    if not (
        type(name) is type(timestamp) is type(person) is type(session) is str
        and type(properties) is dict
        and 0 < len(name) <= MAX_NAME
        and person
        and session
        and len(properties) <= MAX_PROPERTIES
    ):
        return False
    moment = iso8601(timestamp)
    if moment is None or not moment.storable:
        return False
    event = events.add()
    event.name = name
    moment.write(event.occur_time)
    event.distinct_id = person
    event.session_id = session
    document.keep(event, {key: kept for key, kept in value.items() if key not in _FIELDS} | properties)
    return document.oversize(value, body) is None


def _faults(values: list[Any], body: bytes) -> list[Fault]:
    faults: list[Fault] = []
    for index, value in enumerate(values):
        faults += [Fault(index, field, message) for field, message in _event_faults(value, body)]
        if len(faults) >= MAX_DETAILS:
            break
    return faults


def _event_faults(value: object, body: bytes) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [("events", "must be an object")]
    faults = []
    for field in ("event", "timestamp", "distinctId", "sessionId", "properties"):
        if field not in value:
            faults.append((field, "is required"))
        elif (message := _fault(field, value[field])) is not None:
            faults.append((field, message))
    if (message := document.oversize(value, body)) is not None:
        faults.append(("events", message))
    return faults


def _fault(field: str, given: object) -> str | None:
    if field == "properties":
        if not isinstance(given, dict):
            return "must be an object"
        return None if len(given) <= MAX_PROPERTIES else f"must have at most {MAX_PROPERTIES} keys, not {len(given)}"
    if not isinstance(given, str):
        return "must be a string"
    if field == "timestamp":
        moment = iso8601(given)
        return None if moment is not None and moment.storable else "must be an ISO 8601 date or date-time that exists"
    if field == "event" and len(given) > MAX_NAME:
        return f"must be of at most {MAX_NAME} characters, not {len(given)}"
    return None if given else "must not be empty"


_EVENT = {
    "type": "object",
    "required": ["event", "timestamp", "distinctId", "sessionId", "properties"],
    "properties": {
        "event": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
        "timestamp": {
            "type": "string",
            "description": "ISO 8601 date or date-time of a day that exists; UTC where it names no zone.",
            "examples": ["2026-11-20T08:15:00.000Z", "2026-11-20"],
        },
        "distinctId": {"type": "string", "minLength": 1, "description": "The user or visitor."},
        "sessionId": {"type": "string", "minLength": 1},
        "properties": {"type": "object", "maxProperties": MAX_PROPERTIES},
    },
    "description": "Further fields become properties where `properties` has none of their name.",
}
_EVENT_REFERENCE = {"$ref": "#/components/schemas/RealAnalyticsEvent"}
_EVENTS = {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": _EVENT_REFERENCE}
_EXAMPLE = {
    "event": "signup",
    "timestamp": "2026-11-20T08:15:00.000Z",
    "distinctId": "user_1",
    "sessionId": "s-1",
    "properties": {"plan": "team"},
}
_OK = {
    "description": "Every event is stored.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["success", "events"],
                "properties": {
                    "success": {"const": True},
                    "events": {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS},
                },
            },
            "example": {"success": True, "events": 1},
        }
    },
}
_OPERATION = {
    "operationId": "postRealAnalyticsEvents",
    "tags": ["RealAnalytics"],
    "summary": "Take in one event, or up to a hundred, all or none",
    "security": [{"realanalyticsKey": []}, {}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        _EVENT_REFERENCE,
                        _EVENTS,
                        {
                            "type": "object",
                            "required": ["events"],
                            "properties": {
                                "apiKey": {"type": "string", "description": "The key, if no header has it."},
                                "events": _EVENTS,
                            },
                        },
                    ]
                },
                "examples": {
                    "single": {"value": _EXAMPLE},
                    "batch": {"value": [_EXAMPLE]},
                    "envelope": {"value": {"apiKey": "pk_live_...", "events": [_EXAMPLE]}},
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [RealAnalytics()]
