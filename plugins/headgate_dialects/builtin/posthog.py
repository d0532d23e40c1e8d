"""PostHog's capture API: `POST /batch/`, `/capture/`, `/e/` and `/i/v0/e/`; `/flags` answers that there are none."""

from collections.abc import Mapping
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.formats.batch import EventFault, beside, faults_of, parse_batch, take, take_text, text_id
from headgate_dialects.formats.form import form_fields, from_base64, is_json_text, read_wrapped
from headgate_dialects.formats.moment import iso8601
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import Body, Refusals, Refused, standard_rows
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 4 * 1024 * 1024
_FLAGS = ("/flags/", "/decide/")
_ROUTES = tuple(Route(path) for path in ("/batch/", "/capture/", "/e/", "/i/v0/e/", *_FLAGS))
_GZIP = frozenset({"gzip-js", "gzip"})
_GZIP_MAGIC = b"\x1f\x8b"
_TYPES = {401: "authentication_error", 402: "quota_limited", 429: "throttled_error"}
_PAGE = {
    "$current_url": "href",
    "$host": "domain",
    "$pathname": "path",
    "title": "title",
    "$referrer": "referrer",
}
_CAMPAIGN = ("source", "medium", "campaign", "term", "content")
_NO_FLAGS: Mapping[str, Any] = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "config": {},
    "isAuthenticated": False,
    "supportedCompression": ["gzip", "gzip-js"],
    "toolbarParams": {},
    "sessionRecording": False,
    "surveys": False,
    "siteApps": [],
}


def _words(status: int, code: str, when: str) -> Body:
    def body(refused: Refused) -> dict[str, Any]:
        fault = refused.faults[0] if refused.faults else Fault(None, "", refused.message or when)
        detail = f"{fault.field}: {fault.message}" if fault.field else fault.message
        kind = _TYPES.get(status, "server_error" if status >= 500 else "validation_error")
        return {"type": kind, "code": code, "detail": detail, "attr": fault.field or None}

    return body


class PostHog:
    """The dialect. The key is `api_key` or `token` of the request or of its first event."""

    api = Api("posthog", "PostHog", _ROUTES, max_body_bytes=MAX_BODY_BYTES)

    # Clients retry every 429: a month's limit is none that waiting helps with.
    _refusals = Refusals(standard_rows(_words, {outcome_pb2.CAUSE_QUOTA_EXCEEDED: 402}), MAX_BODY_BYTES, whole="batch")

    def parse(self, inbound: Inbound) -> Parsed:
        root, body = _read(inbound)
        envelope: dict[str, Any] = root if isinstance(root, dict) else {}
        values = root if isinstance(root, list) else envelope.get("batch", [root])
        key = _key(envelope) or (_key(values[0]) if isinstance(values, list) and values else "")
        key = key or form_fields(inbound.query.encode()).get("token", b"").decode(errors="replace")
        if not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        if inbound.path in _FLAGS:
            return Parsed(ingest_service_pb2.GatheredRequest(), key, note="flags")
        if not isinstance(values, list) or not values:
            raise Unparsable(Rejection.INVALID, [Fault(None, "batch", "must be an array of events")], credential=key)
        sent = envelope.get("sent_at")
        return parse_batch(values, body, key, lambda value, event: _write(value, event, sent))

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        if parsed.note == "flags":
            return Answer(200, dict(_NO_FLAGS))
        faults = faults_of(parsed, response)
        if faults and len({fault.index for fault in faults}) == len(parsed.events) + parsed.refused:
            return self._refusals.rejected(Unparsable(Rejection.INVALID, faults))
        return Answer(200, {"status": "Ok"})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return self._refusals.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(_ERROR)}

    def components(self) -> dict[str, Any]:
        return {"schemas": {"PostHogEvent": _EVENT}}


def _read(inbound: Inbound) -> tuple[Any, bytes]:
    """The JSON value of a body in any of its forms, and its text: plain, gzip that no header tells of, or a form with
    either of them or base64 in `data`."""
    body, query = inbound.body, form_fields(inbound.query.encode())
    if is_json_text(body):
        return document.read(body, credential=""), body
    gzip = query.get("compression", b"").decode(errors="replace") in _GZIP
    if gzip or body.startswith(_GZIP_MAGIC):
        return read_wrapped(body, 5 * MAX_BODY_BYTES, gzip=body.startswith(_GZIP_MAGIC))
    fields = query | form_fields(body)
    data = fields.get("data")
    if data is None:
        return document.read(body, credential=""), body
    data = data if is_json_text(data) else from_base64(data)
    return read_wrapped(data, 5 * MAX_BODY_BYTES, gzip=data.startswith(_GZIP_MAGIC))


def _key(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    properties = value.get("properties")
    for holder in (value, properties if isinstance(properties, dict) else {}):
        for name in ("api_key", "token"):
            if isinstance(key := holder.get(name), str) and key:
                return key
    return ""


def _write(value: dict[str, Any], event: event_pb2.Event, sent: object) -> None:
    rest = {name: kept for name, kept in value.items() if name not in ("api_key", "token", "sent_at")}
    event.name = take_text(rest, "event")
    if not event.name:
        raise EventFault("event", "must be a string that is not empty")
    properties = take(rest, "properties")
    properties.pop("token", None)
    event.event_id = text_id(rest.pop("uuid", None) or properties.pop("$insert_id", None), "uuid")
    most = document.MAX_TEXT_BYTES
    person = rest.pop("distinct_id", None) or rest.pop("$distinct_id", None) or properties.pop("distinct_id", None)
    event.distinct_id = text_id(person, "distinct_id", most=most)
    if not event.distinct_id:
        raise EventFault("distinct_id", "is required")
    event.user_id = text_id(properties.pop("$user_id", None), "$user_id", most=most)
    event.anonymous_id = text_id(properties.pop("$device_id", None), "$device_id", most=most)
    event.session_id = text_id(properties.pop("$session_id", None), "$session_id", most=most)
    for said, timestamp in (
        (rest.get("timestamp"), event.occur_time),
        (sent or value.get("sent_at"), event.client_time),
    ):
        moment = iso8601(said) if isinstance(said, str) else None
        if moment is not None and moment.storable:
            moment.write(timestamp)
    if event.HasField("occur_time"):
        del rest["timestamp"]
    _write_context(properties, event)
    document.keep(event, beside(properties, rest))


def _write_context(properties: dict[str, Any], event: event_pb2.Event) -> None:
    for name, field in _PAGE.items():
        if text := take_text(properties, name):
            setattr(event.page, field, text)
    for field in _CAMPAIGN:
        if text := take_text(properties, f"utm_{field}"):
            setattr(event.campaign, field, text)
    for name, field in (("$lib", "name"), ("$lib_version", "version")):
        if text := take_text(properties, name):
            setattr(event.sdk, field, text)
    for name, field in (("$raw_user_agent", "user_agent"), ("$ip", "client_ip")):
        if text := take_text(properties, name):
            setattr(event.request, field, text)


_EVENT = {
    "type": "object",
    "required": ["event", "distinct_id"],
    "properties": {
        "event": {"type": "string", "minLength": 1},
        "distinct_id": {"type": ["string", "number"], "description": "Here, or in the properties."},
        "uuid": {"type": ["string", "null"], "description": "The same id counts once in 24 hours."},
        "timestamp": {"type": ["string", "null"], "description": "ISO 8601."},
        "properties": {"type": ["object", "null"]},
    },
}
_EVENT_REFERENCE = {"$ref": "#/components/schemas/PostHogEvent"}
_OK = {
    "description": "The valid events are stored; at `/flags`: there are none.",
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "examples": {"events": {"value": {"status": "Ok"}}, "flags": {"value": dict(_NO_FLAGS)}},
        }
    },
}
_ERROR = {
    "type": "object",
    "required": ["type", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "attr": {"type": ["string", "null"]},
    },
}
_OPERATION = {
    "operationId": "postPostHogEvents",
    "tags": ["PostHog"],
    "summary": "Take in events of PostHog's clients",
    "description": "The JSON text may be compressed (`compression=gzip-js`), or stand in the field `data` of a form, "
    "as it is or in base64.",
    "security": [],
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
                                "api_key": {"type": "string", "description": "A public or test key."},
                                "batch": {"type": "array", "minItems": 1, "items": _EVENT_REFERENCE},
                            },
                        },
                        {"type": "array", "items": _EVENT_REFERENCE},
                        _EVENT_REFERENCE,
                    ]
                },
                "example": {
                    "api_key": "pk_live_...",
                    "batch": [
                        {"event": "signup", "distinct_id": "u-1", "uuid": "0199a0f4-0000-7000-8000-000000000001"}
                    ],
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [PostHog()]
