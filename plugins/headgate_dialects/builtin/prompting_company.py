"""API 4, The Prompting Company: `POST /api/v1/analytics/events`, one page visit seen by a server."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ada_url import normalize_url
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import browser, document, strict_json
from headgate_dialects.formats.browser import same_origin
from headgate_dialects.formats.json_schema import JsonSchema, escaped
from headgate_dialects.formats.moment import rfc3339
from headgate_dialects.sdk.api import ORGANISATION_KEYS, Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import MAX_DETAILS, Cause, Refusals, Refused, Row
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 1024 * 1024


def _row(status: int, code: str, when: str, details: Callable[[Refused], Any] | None = None) -> Row:
    def body(refused: Refused) -> dict[str, Any]:
        made: dict[str, Any] = {"ok": False, "code": code, "message": refused.message or when}
        return made if details is None else made | {"details": details(refused)}

    return Row(status, when, body)


def _paths(refused: Refused) -> list[dict[str, str]]:
    return [{"path": fault.field, "message": fault.message} for fault in refused.faults[:MAX_DETAILS]]


def _usage(refused: Refused) -> dict[str, int]:
    return {"limit": refused.limit, "used": refused.used, "remaining": refused.remaining}


_NO_CREDENTIAL = _row(401, "unauthorized", "Send an x-api-key, a bearer token or a session cookie.")
_INVALID = _row(422, "validation_failed", "The event is not valid.", _paths)
_TOO_LARGE = _row(413, "payload_too_large", "The body is too large.", lambda refused: {"limit": refused.limit})

_ROWS: Mapping[Cause, Row] = {
    Rejection.NOT_JSON: _row(400, "bad_request", "The body must be one JSON object.", _paths),
    Rejection.INVALID: _INVALID,
    Rejection.CREDENTIAL_MISSING: _NO_CREDENTIAL,
    Rejection.FOREIGN_ORIGIN: _row(
        403, "forbidden", "A session cookie needs an Origin or Sec-Fetch-Site of this very origin."
    ),
    Rejection.METHOD: _row(405, "method_not_allowed", "Only POST and OPTIONS are taken here."),
    Rejection.TOO_LARGE: _TOO_LARGE,
    Rejection.MEDIA_TYPE: _row(415, "unsupported_media_type", "The content type or encoding is not read here."),
    Rejection.SLOW: _row(408, "request_timeout", "The body did not arrive in time."),
    outcome_pb2.CAUSE_UNSPECIFIED: _row(500, "internal_error", "The event is not confirmed: send it again."),
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: _NO_CREDENTIAL,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: _row(401, "unauthorized", "The credential does not verify."),
    outcome_pb2.CAUSE_CREDENTIAL_KIND: _row(403, "forbidden", "A key of this kind opens another API."),
    outcome_pb2.CAUSE_SCOPE_MISSING: _row(403, "forbidden", "The credential lacks the scope events:write."),
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: _row(403, "forbidden", "The credential may not write to that project."),
    outcome_pb2.CAUSE_PROJECT_GONE: _row(404, "not_found", "The credential's organisation or project is gone."),
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: _row(403, "forbidden", "The project does not allow the origin."),
    outcome_pb2.CAUSE_INVALID: _INVALID,
    outcome_pb2.CAUSE_TOO_LARGE: _TOO_LARGE,
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: _row(
        422, "idempotency_key_reused", "The Idempotency-Key was used for another body: make a new one."
    ),
    outcome_pb2.CAUSE_RATE_LIMITED: _row(429, "rate_limited", "Too many requests in this window.", _usage),
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: _row(
        429, "quota_exceeded", "The event does not fit in the month's limit.", _usage
    ),
    outcome_pb2.CAUSE_UNAVAILABLE: _row(
        503, "unavailable", "Not confirmed: retry with the same eventId or Idempotency-Key."
    ),
}

_STRING = {"type": "string"}
_OPTIONAL_STRING = {"type": ["string", "null"]}
EVENT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["page_visit"]},
        "occurredAt": {"type": "string", "format": "date-time"},
        "eventId": {"type": "string", "minLength": 1},
        "sessionId": _OPTIONAL_STRING,
        "anonymousId": _OPTIONAL_STRING,
        "page": {
            "type": "object",
            "properties": {
                "href": {"type": "string", "format": "uri"},
                "domain": _STRING,
                "pathname": _STRING,
                "title": _OPTIONAL_STRING,
                "canonicalUrl": {"type": ["string", "null"], "format": "uri"},
            },
            "required": ["href"],
        },
        "request": {
            "type": "object",
            "properties": dict.fromkeys(("referrer", "userAgent", "clientIp", "method"), _OPTIONAL_STRING),
        },
        "sdk": {"type": "object", "properties": dict.fromkeys(("name", "version", "runtime"), _STRING)},
        "properties": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]
            },
        },
    },
    "required": ["event", "page"],
}
"""The body's schema as the API's document has it: what is asserted, and what the OpenAPI document shows."""
_SCHEMA = JsonSchema(EVENT_SCHEMA)


class PromptingCompany:
    """The dialect. `now` gives nanoseconds since 1970; it is asked only where an answer must bear a time that the
    service has none for: an event that policy drops, and a dry run."""

    api = Api(
        "prompting_company",
        "The Prompting Company",
        (Route("/api/v1/analytics/events"),),
        key_kinds=ORGANISATION_KEYS,
        people=True,
        max_body_bytes=MAX_BODY_BYTES,
    )

    _refusals = Refusals(_ROWS, MAX_BODY_BYTES, whole="")

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now

    def parse(self, inbound: Inbound) -> Parsed:
        credential = _credential(inbound.headers)
        project = inbound.headers.get("x-headgate-project") or inbound.headers.get("x-tpc-product-slug", "")
        if not credential:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="", project=project)
        # A browser sends the cookie by itself; a header of that name it does not.
        if credential == f"session:{browser.session_of(inbound.headers)}" and not same_origin(inbound.headers):
            raise Unparsable(Rejection.FOREIGN_ORIGIN, credential="", project=project)
        value = document.read(inbound.body, credential=credential, project=project)
        if not isinstance(value, dict):
            fault = Fault(None, "", "must be an object")
            raise Unparsable(Rejection.NOT_JSON, [fault], credential=credential, project=project)
        faults = [Fault(None, path, message) for path, message in _SCHEMA.violations(value)]
        if (message := document.oversize(value, inbound.body)) is not None:
            faults.append(Fault(None, "", message))
        href = "" if faults else normalize_url(value["page"]["href"])
        # Each character that is percent-encoded becomes three.
        if len(href) > strict_json.MAX_STRING_BYTES:
            message = f"is over {strict_json.MAX_STRING_BYTES} bytes where it is serialised"
            faults.append(Fault(None, "/page/href", message))
        if faults:
            raise Unparsable(Rejection.INVALID, faults, credential=credential, project=project, refused=1)
        request = ingest_service_pb2.GatheredRequest(each=True)
        _write(value, href, request.entry.events.add())
        return Parsed(request, credential, project)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        result = response.results[0]
        if result.outcome == outcome_pb2.OUTCOME_REFUSED:
            fault = Fault(None, _pointer(result.field), result.message)
            return self._refusals.rejected(Unparsable(Rejection.INVALID, [fault]))
        data = {
            "accepted": True,
            "eventId": result.event_id or parsed.events[0].event_id,
            "status": "accepted",
            "receivedAt": _milliseconds(self._receive_time(result, response)),
        }
        return Answer(200, {"ok": True, "data": {"ok": True, "data": data}})

    def _receive_time(
        self, result: outcome_pb2.EventResult, response: ingest_service_pb2.IngestEventsResponse
    ) -> Timestamp:
        for told in (result, response):
            if told.HasField("receive_time"):
                return told.receive_time
        now = Timestamp()
        now.FromNanoseconds(self._now())
        return now

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(_ERROR)}

    def components(self) -> dict[str, Any]:
        return {"securitySchemes": _SECURITY_SCHEMES}


def _credential(headers: Mapping[str, str]) -> str:
    """The first that is present of key, bearer token or key, session cookie and session header."""
    if key := headers.get("x-api-key"):
        return key
    if person := browser.person_of(headers):
        return person.removeprefix("bearer:") if person.startswith("bearer:org_") else person
    session = headers.get(browser.NAME, "")
    return f"session:{session}" if session else ""


def _write(value: dict[str, Any], href: str, event: event_pb2.Event) -> None:
    event.name = value["event"]
    event.event_id = value.get("eventId", "")
    moment = rfc3339(value["occurredAt"]) if "occurredAt" in value else None
    # A zone can carry a valid date-time out of the years that a Timestamp has; the receive time stands in for it.
    if moment is not None and moment.storable:
        moment.write(event.occur_time)
    event.session_id = value.get("sessionId") or ""
    event.anonymous_id = value.get("anonymousId") or ""
    document.name_person(event)
    _copy(value["page"], _PAGE, event.page)
    event.page.href = href
    if (sent := value["page"]["href"]) != href:
        event.page.sent_href = sent
    _copy(value.get("request"), _REFERRER, event.page)
    _copy(value.get("request"), _REQUEST, event.request)
    _copy(value.get("sdk"), _SDK, event.sdk)
    document.keep(event, value.get("properties") or {})


def _copy(given: dict[str, Any] | None, fields: Mapping[str, str], message: Message) -> None:
    if given:
        for field, canonical in fields.items():
            if text := given.get(field):
                setattr(message, canonical, text)


_PAGE = {
    "domain": "domain",
    "pathname": "path",
    "title": "title",
    "canonicalUrl": "canonical_url",
}
_REFERRER = {"referrer": "referrer"}
_REQUEST = {"userAgent": "user_agent", "clientIp": "client_ip", "method": "method"}
_SDK = {"name": "name", "version": "version", "runtime": "runtime"}


def _pointer(field: str) -> str:
    return "".join(f"/{escaped(part)}" for part in field.split(".")) if field else ""


def _milliseconds(timestamp: Timestamp) -> str:
    whole = datetime.fromtimestamp(timestamp.seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{timestamp.nanos // 1_000_000:03}Z"


_ERROR: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "ok": {"type": "boolean", "enum": [False]},
        "code": _STRING,
        "message": _STRING,
        "details": {},
    },
    "required": ["ok", "code", "message"],
}
_ACCEPTED = {
    "type": "object",
    "properties": {
        "accepted": {"type": "boolean", "enum": [True]},
        "eventId": _STRING,
        "status": {"type": "string", "enum": ["accepted"]},
        "receivedAt": {"type": "string", "format": "date-time"},
    },
    "required": ["accepted", "eventId", "status", "receivedAt"],
}


def _ok(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"ok": {"type": "boolean", "enum": [True]}, "data": data},
        "required": ["ok", "data"],
    }


_OK = {
    "description": "The event is stored, now or when its eventId was first received.",
    "content": {
        "application/json": {
            "schema": _ok(_ok(_ACCEPTED)),
            "example": {
                "ok": True,
                "data": {
                    "ok": True,
                    "data": {
                        "accepted": True,
                        "eventId": "evt_1",
                        "status": "accepted",
                        "receivedAt": "2026-11-20T08:15:00.123Z",
                    },
                },
            },
        }
    },
}
_OPERATION = {
    "operationId": "postAnalyticsEvents",
    "tags": ["Visibility & Mentions"],
    "summary": "Take in a page visit that a server-side SDK saw",
    "parameters": [
        {
            "name": "X-Headgate-Project",
            "in": "header",
            "schema": _STRING,
            "description": "Another project of the credential's organisation, by slug or id.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": EVENT_SCHEMA,
                "example": {
                    "event": "page_visit",
                    "eventId": "evt_1",
                    "occurredAt": "2026-11-20T08:15:00Z",
                    "page": {"href": "https://example.com/pricing"},
                },
            }
        },
    },
    "security": [{"apiKeyAuth": []}, {"bearerAuth": []}, {"cookieAuth": []}],
}
_SCOPES = {
    "content:read": "read a site's pages, their markdown and its llms.txt files",
    "content:write": "make, change and remove pages and content",
    "prompts:read": "read prompts, topics and what their analysis found",
    "prompts:write": "make, change and archive prompts",
    "simulations:read": "read simulation tasks, runs, environments and their analytics",
    "simulations:write": "make and start simulation runs",
    "logs:read": "read logs of AI traffic and audit events of requests",
    "analytics:read": "read aggregated analytics",
    "products:read": "read data of products and competitors",
    "products:write": "change product settings and the list of competitors",
    "events:write": "send events",
}
_SECURITY_SCHEMES = {
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An organisation's key; it needs the scope events:write.",
        "x-scopes": _SCOPES,
    },
    "bearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A session or OAuth access token; it needs the scope events:write.",
        "x-scopes": _SCOPES,
    },
    "cookieAuth": {
        "type": "apiKey",
        "in": "cookie",
        "name": browser.NAME,
        "description": "A person's browser session.",
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [PromptingCompany()]
