"""API 2, Xaiku: `POST /api/v1/analytics`, events of experiments, the valid ones of a batch taken."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import (
    ERROR,
    FAULTS,
    MONTH_FULL,
    Cause,
    Refusals,
    Row,
    details,
    error,
    limit,
    listed,
)
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 1024 * 1024
# Of a 200 with details: more of them would only repeat what the first say.
MAX_DETAILS = 1_000

_MISSING = Row(401, "There is no key, or it is none that begins `pk_`.", error("Missing or malformed public key"))
_INVALID_KEY = Row(401, "The key is unknown, revoked, or of another kind.", error("Invalid public key"))
_INVALID = Row(400, "No event is valid, or the body is not such a batch.", error("Invalid events", details))
_TOO_LARGE = Row(413, "More bytes or events than `limit`.", error("Payload too large", limit))

_ROWS: Mapping[Cause, Row] = {
    Rejection.NOT_JSON: _INVALID,
    Rejection.INVALID: _INVALID,
    Rejection.CREDENTIAL_MISSING: _MISSING,
    Rejection.FOREIGN_ORIGIN: Row(403, "A page of another site asks.", error("Origin not allowed")),
    Rejection.METHOD: Row(405, "Only POST and OPTIONS are taken here.", error("Method not allowed")),
    Rejection.TOO_LARGE: _TOO_LARGE,
    Rejection.MEDIA_TYPE: Row(415, "A content type or encoding that is not read.", error("Unsupported media type")),
    Rejection.SLOW: Row(408, "The body did not arrive in time.", error("Request timeout")),
    outcome_pb2.CAUSE_UNSPECIFIED: Row(503, "Not confirmed.", error("Service unavailable")),
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: _MISSING,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: _INVALID_KEY,
    outcome_pb2.CAUSE_CREDENTIAL_KIND: _INVALID_KEY,
    outcome_pb2.CAUSE_SCOPE_MISSING: _INVALID_KEY,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: _INVALID_KEY,
    outcome_pb2.CAUSE_PROJECT_GONE: _INVALID_KEY,
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

_REQUIRED = ("eventName", "experimentId", "sessionId")
_CAMPAIGN = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_STRINGS = ("variantId", "pathname", "referrer", "clickTarget", *_CAMPAIGN)
_BOOLEANS = ("conversion", "test")
_NUMBERS = ("loadTime", "timeOnPage", "scrollDepth")
# Numbers are their decimal text.
_IDS = ("experimentId", "sessionId", "variantId", "userId")
# Mapped where they are strings, though the document does not name them; else properties as any other field.
_UNNAMED_STRINGS = ("userId", "domain", "userAgent")
_MAPPED = frozenset({*_REQUIRED, *_STRINGS, *_BOOLEANS} - {"clickTarget"})
_KINDS: Mapping[str, type] = {**dict.fromkeys((*_REQUIRED, *_STRINGS), str), **dict.fromkeys(_BOOLEANS, bool)}
_NUMERIC = frozenset({int, float})
_MEASURES = frozenset({"clickTarget", *_NUMBERS})


class Xaiku:
    """The dialect. The header's key wins over the body's `pkey`, also where it is malformed."""

    api = Api(
        "xaiku",
        "Xaiku",
        (Route("/api/v1/analytics"),),
        event_ids=False,
        max_body_bytes=MAX_BODY_BYTES,
        experiments="/api/v1/experiments",
    )

    _refusals = Refusals(_ROWS, MAX_BODY_BYTES)

    def parse(self, inbound: Inbound) -> Parsed:
        header = inbound.headers.get("x-public-key", "")
        if header:
            _require_public(header)
        if len(inbound.body) > document.FEW_BYTES and (count := document.too_many(inbound.body)):
            key = header or _require_public(document.text_of(inbound.body, "pkey"))
            raise Unparsable(Rejection.TOO_LARGE, credential=key, refused=count, limit=document.MAX_EVENTS)
        envelope = document.read(inbound.body, credential=header)
        envelope = envelope if isinstance(envelope, dict) else {}
        key = header or _require_public(envelope.get("pkey"))
        values = envelope.get("events")
        if not isinstance(values, list) or not values:
            fault = Fault(None, "events", "must be a non-empty array of events")
            raise Unparsable(Rejection.INVALID, [fault], credential=key)
        if len(values) > document.MAX_EVENTS:
            raise Unparsable(Rejection.TOO_LARGE, credential=key, refused=len(values), limit=document.MAX_EVENTS)
        return _parsed(values, key, inbound.body)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        refused = _refused_by_policy(parsed, response)
        received, rejected = len(parsed.events) - len(refused), parsed.refused + len(refused)
        if not rejected:
            return Answer(200, {"success": True, "received": received})
        faults = sorted([*parsed.faults, *refused], key=lambda fault: fault.index or 0)
        if not received:
            return self._refusals.rejected(Unparsable(Rejection.INVALID, faults))
        told = listed(faults[:MAX_DETAILS])
        return Answer(200, {"success": True, "received": received, "rejected": rejected, "details": told})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(ERROR)}

    def components(self) -> dict[str, Any]:
        return {
            "securitySchemes": {
                "xaikuPublicKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-public-key",
                    "description": "A project's public or test key. A beacon, which can set no header, sends it as "
                    "`pkey` in the body.",
                }
            }
        }


def _require_public(key: object) -> str:
    if isinstance(key, str) and key.startswith("pk_"):
        return key
    raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")


def _parsed(values: list[Any], key: str, body: bytes) -> Parsed:
    request = ingest_service_pb2.GatheredRequest()
    events = request.entry.events
    places: list[int] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        if not _flawless(value, body):
            if found := _faults(value, body):
                faults += [Fault(index, field, message) for field, message in found]
                continue
            value = value | {field: _decimal(value[field]) for field in _IDS if type(value.get(field)) in _NUMERIC}
        places.append(index)
        _write(value, events.add())
    refused = len(values) - len(places)
    if not places:
        raise Unparsable(Rejection.INVALID, faults, credential=key, refused=refused)
    return Parsed(request, key, faults=faults, refused=refused, places=places if refused else ())


def _flawless(value: object, body: bytes) -> bool:
    """Whether the fields that are there are what they should be. False may mean no more than an odd spelling of
    absence, or an id that is a number: `_faults` says what is wrong, if anything."""
    if type(value) is not dict:
        return False
    for field in _REQUIRED:
        if not value.get(field):
            return False
    for field, given in value.items():
        kind = _KINDS.get(field)
        if kind is not None and type(given) is not kind and given is not None:
            return False
        if field in _NUMBERS and given is not None and type(given) not in _NUMERIC:
            return False
    return type(value.get("userId")) not in _NUMERIC and document.oversize(value, body) is None


def _faults(value: object, body: bytes) -> list[tuple[str, str]]:
    """Field and message of everything wrong with one event. Null and the empty string are absence."""
    if not isinstance(value, dict):
        return [("events", "must be an object")]
    faults = []
    get = value.get
    for field in _REQUIRED:
        given = get(field)
        if given is None or given == "":
            faults.append((field, "is required"))
        elif type(given) is not str:
            faults += _no_text(field, given)
    for field in _STRINGS:
        given = get(field)
        if given is not None and type(given) is not str:
            faults += _no_text(field, given)
    for field in _BOOLEANS:
        given = get(field)
        if given is not None and type(given) is not bool and given != "":
            faults.append((field, "must be true or false"))
    for field in _NUMBERS:
        given = get(field)
        if given is not None and given != "" and type(given) not in _NUMERIC:
            faults.append((field, "must be a number"))
    if (message := document.oversize(value, body)) is not None:
        faults.append(("events", message))
    return faults


def _no_text(field: str, given: object) -> list[tuple[str, str]]:
    if field not in _IDS:
        return [(field, "must be a string")]
    return [] if type(given) in _NUMERIC else [(field, "must be a string or a number")]


def _decimal(number: float) -> str:
    if isinstance(number, float) and not number.is_integer():
        return f"{Decimal(repr(number)):f}"
    return str(int(number))


def _write(value: dict[str, Any], event: event_pb2.Event) -> None:
    get = value.get
    event.name = value["eventName"]
    event.session_id = value["sessionId"]
    event.test = get("test") is True
    experiment = event.experiment
    experiment.experiment_id = value["experimentId"]
    experiment.variant_id = get("variantId") or ""
    experiment.conversion = get("conversion") is True
    unnamed = {field: value[field] for field in _UNNAMED_STRINGS if type(get(field)) is str}
    if unnamed.get("userId"):
        event.user_id = unnamed["userId"]
    if unnamed.get("userAgent"):
        event.request.user_agent = unnamed["userAgent"]
    for field, text in (("path", get("pathname")), ("referrer", get("referrer")), ("domain", unnamed.get("domain"))):
        if text:
            setattr(event.page, field, text)
    for field in _CAMPAIGN:
        if text := get(field):
            setattr(event.campaign, field.removeprefix("utm_"), text)
    document.name_person(event)
    document.keep(
        event,
        {
            field: given
            for field, given in value.items()
            if field not in _MAPPED and field not in unnamed and not (field in _MEASURES and given in (None, ""))
        },
    )


def _refused_by_policy(parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> list[Fault]:
    return [
        Fault(parsed.places[result.index] if parsed.places else result.index, result.field or "events", result.message)
        for result in response.results
        if result.outcome == outcome_pb2.OUTCOME_REFUSED
    ]


_ID = {"type": ["string", "number"], "minLength": 1}
_TEXT = {"type": ["string", "null"]}
_BOOLEAN = {"type": ["boolean", "null"]}
_NUMBER = {"type": ["number", "null"]}
_EVENT = {
    "type": "object",
    "required": list(_REQUIRED),
    "properties": {
        "eventName": {"type": "string", "minLength": 1},
        **dict.fromkeys(("experimentId", "sessionId"), _ID),
        **dict.fromkeys(_STRINGS, _TEXT),
        "variantId": {"type": ["string", "number", "null"]},
        **dict.fromkeys(_BOOLEANS, _BOOLEAN),
        **dict.fromkeys(_NUMBERS, _NUMBER),
        "userId": {"description": "Where it is a string or a number, who is signed in."},
        "domain": {"description": "Where it is a string, the page's host."},
        "userAgent": {"description": "Where it is a string, the browser."},
    },
    "description": "Null and the empty string stand for absence. An id that is a number is its decimal text. Further "
    "fields become properties.",
}
_OK = {
    "description": "The valid events are stored; the others are listed.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["success", "received"],
                "properties": {
                    "success": {"const": True},
                    "received": {"type": "integer", "minimum": 1, "description": "Valid events."},
                    "rejected": {"type": "integer", "minimum": 1, "description": "Others; absent where none."},
                    "details": FAULTS,
                },
            },
            "examples": {
                "all": {"value": {"success": True, "received": 2}},
                "some": {
                    "value": {
                        "success": True,
                        "received": 1,
                        "rejected": 1,
                        "details": [{"index": 1, "field": "experimentId", "message": "is required"}],
                    }
                },
            },
        }
    },
}
_OPERATION = {
    "operationId": "postXaikuAnalytics",
    "tags": ["Xaiku"],
    "summary": "Take in a batch of experiment events from a browser",
    "security": [{"xaikuPublicKey": []}, {}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["events"],
                    "properties": {
                        "events": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": document.MAX_EVENTS,
                            "items": _EVENT,
                        },
                        "pkey": {"type": ["string", "null"], "description": "The key, if no header has it."},
                    },
                },
                "example": {
                    "events": [
                        {"eventName": "click", "experimentId": "exp_1", "sessionId": "s-1", "clickTarget": "#buy"}
                    ]
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [Xaiku()]
