"""Segment's HTTP Tracking API: `POST /v1/batch` and a path for each kind of call."""

from collections.abc import Mapping
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.formats.batch import (
    EventFault,
    basic_user,
    beside,
    faults_of,
    parse_batch,
    take,
    take_text,
    text_id,
)
from headgate_dialects.formats.moment import iso8601
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import FAULTS, MAX_DETAILS, Body, Refusals, Refused, listed, standard_rows
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 1024 * 1024
BATCH = "/v1/batch"
# Kinds of call, and the name of an event that is not a `track`.
NAMES: Mapping[str, str] = {
    "track": "",
    "identify": "$identify",
    "page": "$pageview",
    "screen": "$screen",
    "group": "$groupidentify",
    "alias": "$create_alias",
}
_ROUTES = (Route(BATCH), Route("/v1/import"), *(Route(f"/v1/{kind}") for kind in NAMES))
_BATCHES = frozenset({BATCH, "/v1/import"})
_CAMPAIGN = {"name": "campaign", "source": "source", "medium": "medium", "term": "term", "content": "content"}


def _words(status: int, code: str, when: str) -> Body:
    # The published clients show `code` and `message`.
    def body(refused: Refused) -> dict[str, Any]:
        made: dict[str, Any] = {"success": False, "code": code, "message": refused.message or when}
        return made | {"details": listed(refused.faults[:MAX_DETAILS])} if refused.faults else made

    return body


class Segment:
    """The dialect. The key is the user of Basic authentication or `writeKey`, of the request or of its first event."""

    api = Api("segment", "Segment", _ROUTES, max_body_bytes=MAX_BODY_BYTES)

    # Clients retry every 429: a month's limit is none that waiting helps with.
    _refusals = Refusals(standard_rows(_words, {outcome_pb2.CAUSE_QUOTA_EXCEEDED: 402}), MAX_BODY_BYTES, whole="batch")

    def parse(self, inbound: Inbound) -> Parsed:
        key = basic_user(inbound.headers)
        root = document.read(inbound.body, credential=key)
        envelope: dict[str, Any] = root if isinstance(root, dict) else {}
        in_batch = inbound.path in _BATCHES
        values = envelope.get("batch") if in_batch else [root]
        key = key or take_text(envelope, "writeKey") or _key_of(values)
        if not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        if not isinstance(values, list) or not values:
            fault = Fault(None, "batch", "must be an array of calls")
            raise Unparsable(Rejection.INVALID, [fault], credential=key)
        kind = "" if in_batch else inbound.path.removeprefix("/v1/")
        shared = envelope if in_batch else {}
        return parse_batch(values, inbound.body, key, lambda value, event: _write(value, event, kind, shared))

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        faults = faults_of(parsed, response)
        if not faults:
            return Answer(200, {"success": True})
        rejected = len({fault.index for fault in faults})
        if rejected == len(parsed.events) + parsed.refused:
            return self._refusals.rejected(Unparsable(Rejection.INVALID, faults))
        return Answer(200, {"success": True, "rejected": rejected, "details": listed(faults[:MAX_DETAILS])})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(_ERROR)}

    def components(self) -> dict[str, Any]:
        basic = {"type": "http", "scheme": "basic", "description": "A public or test key as the user, no password."}
        return {"securitySchemes": {"segmentWriteKey": basic}}


def _key_of(values: object) -> str:
    first = values[0] if isinstance(values, list) and values else None
    key = first.get("writeKey") if isinstance(first, dict) else None
    return key if isinstance(key, str) else ""


def _write(value: dict[str, Any], event: event_pb2.Event, kind: str, envelope: Mapping[str, Any]) -> None:
    rest = dict(value)
    rest.pop("writeKey", None)
    kind = _name(rest, event, kind)
    event.event_id = text_id(rest.pop("messageId", None), "messageId")
    event.user_id = text_id(rest.pop("userId", None), "userId", most=document.MAX_TEXT_BYTES)
    event.anonymous_id = text_id(rest.pop("anonymousId", None), "anonymousId", most=document.MAX_TEXT_BYTES)
    if not event.user_id and not event.anonymous_id and kind != "alias":
        raise EventFault("userId", "is required where there is no anonymousId")
    _write_times(rest, event, envelope)
    context = {**_object(envelope, "context"), **take(rest, "context")}
    properties = take(rest, "properties") or (take(rest, "traits") if kind in ("identify", "group") else {})
    _write_context(context, event)
    if kind == "page":
        _write_page(properties, event)
    document.name_person(event)
    document.keep(event, beside(properties, rest | {"context": context}))


def _name(rest: dict[str, Any], event: event_pb2.Event, kind: str) -> str:
    said = rest.pop("type", None)
    kind = kind or (said if isinstance(said, str) else "")
    if kind not in NAMES:
        raise EventFault("type", f"must be one of {', '.join(NAMES)}")
    event.name = NAMES[kind] or take_text(rest, "event")
    if not event.name:
        raise EventFault("event", "must be a string that is not empty")
    return kind


def _write_times(rest: dict[str, Any], event: event_pb2.Event, envelope: Mapping[str, Any]) -> None:
    for field in ("timestamp", "originalTimestamp"):
        said = rest.get(field)
        moment = iso8601(said) if isinstance(said, str) else None
        if moment is not None and moment.storable:
            del rest[field]
            if not event.HasField("occur_time"):
                moment.write(event.occur_time)
    sent = rest.pop("sentAt", None) or envelope.get("sentAt")
    moment = iso8601(sent) if isinstance(sent, str) else None
    if moment is not None and moment.storable:
        moment.write(event.client_time)


def _write_context(context: dict[str, Any], event: event_pb2.Event) -> None:
    """Moves what has a field of its own out of the context."""
    if agent := take_text(context, "userAgent"):
        event.request.user_agent = agent
    if address := take_text(context, "ip"):
        event.request.client_ip = address
    library = take(context, "library")
    for name, field in (("name", "name"), ("version", "version")):
        if text := take_text(library, name):
            setattr(event.sdk, field, text)
    campaign = take(context, "campaign")
    for name, field in _CAMPAIGN.items():
        if text := take_text(campaign, name):
            setattr(event.campaign, field, text)
    page = take(context, "page")
    _write_page(page, event)
    parts = {"library": library, "campaign": campaign, "page": page}
    context.update({name: left for name, left in parts.items() if left})


def _write_page(page: dict[str, Any], event: event_pb2.Event) -> None:
    for name, field in (("url", "href"), ("path", "path"), ("title", "title"), ("referrer", "referrer")):
        if text := take_text(page, name):
            setattr(event.page, field, text)


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


_CALL = {
    "type": "object",
    "properties": {
        "type": {"enum": list(NAMES), "description": "The kind of call; at a path of its own it need not be said."},
        "messageId": {"type": "string", "description": "The same id counts once in 24 hours."},
        "userId": {"type": ["string", "number", "null"]},
        "anonymousId": {"type": ["string", "number", "null"], "description": "One of the two is required."},
        "event": {"type": "string", "description": "What happened, of a `track`."},
        "properties": {"type": ["object", "null"]},
        "traits": {"type": ["object", "null"]},
        "context": {"type": ["object", "null"]},
        "timestamp": {"type": "string", "description": "ISO 8601."},
    },
}
_OK = {
    "description": "The valid calls are stored.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["success"],
                "properties": {"success": {"const": True}, "rejected": {"type": "integer"}, "details": FAULTS},
            },
            "example": {"success": True},
        }
    },
}
_ERROR = {
    "type": "object",
    "required": ["success", "code", "message"],
    "properties": {
        "success": {"const": False},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "details": FAULTS,
    },
}
_OPERATION = {
    "operationId": "postSegmentCalls",
    "tags": ["Segment"],
    "summary": "Take in calls of Segment's libraries",
    "security": [{"segmentWriteKey": []}, {}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {
                            "type": "object",
                            "required": ["batch"],
                            "properties": {
                                "batch": {"type": "array", "minItems": 1, "items": _CALL},
                                "writeKey": {"type": "string", "description": "The key, where no header bears it."},
                                "sentAt": {"type": "string"},
                            },
                        },
                        _CALL,
                    ]
                },
                "example": {
                    "batch": [
                        {
                            "type": "track",
                            "event": "signup",
                            "userId": "u-1",
                            "messageId": "m-1",
                            "properties": {"n": 1},
                        }
                    ]
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [Segment()]
