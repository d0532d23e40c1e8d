"""Mixpanel's ingestion API: `POST /track` and `/import`, and the profile updates of `/engage` and `/groups`."""

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
from headgate_dialects.formats.form import form_fields, from_base64, is_json_text, read_wrapped
from headgate_dialects.formats.moment import unix
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import Body, Cause, Refusals, Refused, standard_rows
from headgate_dialects.sdk.rejection import Rejection

# 10 MB decoded, as the API documents it: five times as many as on the wire.
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_EVENTS = 2000
# Of profile updates, which are no events there.
NAMES: Mapping[str, str] = {"/engage": "$identify", "/groups": "$groupidentify"}
_IMPORT, _VERBOSE = "import", "verbose"
_STATUSES = {400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 413: "Request Entity Too Large"}
# Clients retry every 429: a month's limit is none that waiting helps with.
_STATUSES_OF: Mapping[Cause, int] = {outcome_pb2.CAUSE_QUOTA_EXCEEDED: 402}
_PAGE = {
    "$current_url": "href",
    "current_domain": "domain",
    "current_url_path": "path",
    "current_page_title": "title",
    "$referrer": "referrer",
}
_CAMPAIGN = ("source", "medium", "campaign", "term", "content")


def _track_words(status: int, code: str, when: str) -> Body:
    def body(refused: Refused) -> dict[str, Any]:
        return {"status": 0, "error": _sentence(refused, when)}

    return body


def _import_words(status: int, code: str, when: str) -> Body:
    def body(refused: Refused) -> dict[str, Any]:
        made = {"code": status, "error": _sentence(refused, when), "status": _STATUSES.get(status, "Error")}
        if status == 400:
            made |= {"num_records_imported": 0, "failed_records": _failed(refused.faults)}
        return made

    return body


def _sentence(refused: Refused, when: str) -> str:
    if not refused.faults:
        return refused.message or when
    fault = refused.faults[0]
    return f"{fault.field}: {fault.message}" if fault.field else fault.message


def _failed(faults: Any) -> list[dict[str, Any]]:
    return [{"index": fault.index, "field": fault.field, "message": fault.message} for fault in faults]


class Mixpanel:
    """The dialect. The key is the token of the first event; `/import` takes it as the user of Basic authentication too.
    `/import` is strict: it takes the valid events and answers 400 with those that are not."""

    api = Api(
        "mixpanel",
        "Mixpanel",
        (Route("/track"), Route("/import"), Route("/engage"), Route("/groups")),
        max_body_bytes=MAX_BODY_BYTES,
    )

    _track = Refusals(standard_rows(_track_words, _STATUSES_OF), MAX_BODY_BYTES, whole="")
    _import = Refusals(standard_rows(_import_words, _STATUSES_OF), MAX_BODY_BYTES, whole="")

    def parse(self, inbound: Inbound) -> Parsed:
        fields = form_fields(inbound.query.encode())
        body, root = inbound.body, None
        user = basic_user(inbound.headers)
        if is_json_text(body):
            root = document.read(body, credential=user)
        else:
            fields |= form_fields(body)
            if b"data" in body or "data" in fields:
                data = fields.get("data", b"")
                data = data if is_json_text(data) else from_base64(data)
                root, body = read_wrapped(data, 5 * MAX_BODY_BYTES, credential=user)
            else:
                document.read(body, credential=user)
        values = root if isinstance(root, list) else [root]
        key = _token(values) or fields.get("api_key", b"").decode(errors="replace") or user
        if not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        if not values:
            raise Unparsable(Rejection.INVALID, [Fault(None, "", "there is no event")], credential=key)
        name = NAMES.get(inbound.path, "")
        # What is asked to be verbose is answered in the words of /track, which the published clients read.
        verbose = fields.get("verbose") == b"1"
        strict = inbound.path == "/import" and fields.get("strict", b"1") == b"1"
        note = _VERBOSE if verbose else _IMPORT if inbound.path == "/import" else ""

        def write(value: dict[str, Any], event: event_pb2.Event) -> None:
            if name:
                _write_profile(value, event, name)
            else:
                _write(value, event, key, strict=strict)

        return parse_batch(values, body, key, write, most=MAX_EVENTS, note=note)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        faults = faults_of(parsed, response)
        failed = len({fault.index for fault in faults})
        taken = len(parsed.events) + parsed.refused - failed
        if parsed.note == _IMPORT:
            if not faults:
                return Answer(200, {"code": 200, "num_records_imported": taken, "status": "OK"})
            error = "some data points in the request failed validation"
            made = {"code": 400, "error": error, "status": "Bad Request", "num_records_imported": taken}
            return Answer(400, made | {"failed_records": _failed(faults)})
        if not taken:
            return self._track.rejected(Unparsable(Rejection.INVALID, faults))
        if parsed.note == _VERBOSE:
            return Answer(200, {"status": 1, "error": None})
        return Answer(200, 1)

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        table = self._import if parsed is not None and parsed.note == _IMPORT else self._track
        return table.refused(refusal)

    def rejected(self, unparsable: Unparsable) -> Answer:
        return (self._import if unparsable.note == _IMPORT else self._track).rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._track.responses(_ERROR)}

    def components(self) -> dict[str, Any]:
        basic = {"type": "http", "scheme": "basic", "description": "A public or test key as the user, no password."}
        return {"securitySchemes": {"mixpanelToken": basic}}


def _token(values: list[Any]) -> str:
    first = values[0] if values else None
    if not isinstance(first, dict):
        return ""
    properties = first.get("properties")
    token = properties.get("token") if isinstance(properties, dict) else first.get("$token")
    return token if isinstance(token, str) else ""


def _write(value: dict[str, Any], event: event_pb2.Event, key: str, *, strict: bool) -> None:
    rest = dict(value)
    event.name = take_text(rest, "event")
    if not event.name:
        raise EventFault("event", "must be a string that is not empty")
    if not isinstance(rest.get("properties"), dict):
        raise EventFault("properties", "must be an object")
    properties = take(rest, "properties")
    if properties.pop("token", key) != key:
        raise EventFault("properties.token", "is another than the first event's")
    event.event_id = text_id(properties.pop("$insert_id", None), "properties.$insert_id")
    time = properties.pop("time", None)
    if strict and (not event.event_id or time is None):
        field = "time" if event.event_id else "$insert_id"
        raise EventFault(f"properties.{field}", "is required")
    _write_time(time, event)
    _write_people(properties, event)
    for name, field in _PAGE.items():
        if text := take_text(properties, name):
            setattr(event.page, field, text)
    for field in _CAMPAIGN:
        if text := take_text(properties, f"utm_{field}"):
            setattr(event.campaign, field, text)
    for name, field in (("mp_lib", "name"), ("$lib_version", "version")):
        if text := take_text(properties, name):
            setattr(event.sdk, field, text)
    if address := take_text(properties, "ip"):
        event.request.client_ip = address
    document.keep(event, beside(properties, rest))


def _write_time(time: object, event: event_pb2.Event) -> None:
    if time is None:
        return
    if isinstance(time, str) and time.isascii() and time.isdigit() and len(time) < 18:
        time = int(time)
    moment = unix(time) if isinstance(time, int | float) and not isinstance(time, bool) else None
    if moment is None or not moment.storable:
        raise EventFault("properties.time", "must be seconds or milliseconds since 1970")
    moment.write(event.occur_time)


def _write_people(properties: dict[str, Any], event: event_pb2.Event) -> None:
    most = document.MAX_TEXT_BYTES
    event.distinct_id = text_id(properties.pop("distinct_id", None), "properties.distinct_id", most=most)
    event.user_id = text_id(properties.pop("$user_id", None), "properties.$user_id", most=most)
    event.anonymous_id = text_id(properties.pop("$device_id", None), "properties.$device_id", most=most)
    if not event.distinct_id:
        document.name_person(event)


def _write_profile(value: dict[str, Any], event: event_pb2.Event, name: str) -> None:
    rest = dict(value)
    rest.pop("$token", None)
    event.name = name
    event.distinct_id = text_id(rest.pop("$distinct_id", None), "$distinct_id", most=document.MAX_TEXT_BYTES)
    if address := take_text(rest, "$ip"):
        event.request.client_ip = address
    document.keep(event, rest)


_OK = {
    "description": "At least one event is stored.",
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    {"const": 1},
                    {"type": "object", "required": ["status"], "properties": {"status": {"enum": [1, "OK"]}}},
                ]
            },
            "examples": {
                "track": {"value": 1},
                "verbose": {"value": {"status": 1, "error": None}},
                "import": {"value": {"code": 200, "num_records_imported": 2, "status": "OK"}},
            },
        }
    },
}
_ERROR = {
    "type": "object",
    "required": ["status", "error"],
    "properties": {"error": {"type": "string"}, "status": {"type": ["integer", "string"]}},
}
_EVENT = {
    "type": "object",
    "required": ["event", "properties"],
    "properties": {
        "event": {"type": "string", "minLength": 1},
        "properties": {
            "type": "object",
            "properties": {
                "token": {"type": "string", "description": "A public or test key."},
                "$insert_id": {"type": "string", "description": "The same id counts once in 24 hours."},
                "time": {"type": ["number", "string"], "description": "Seconds or milliseconds since 1970."},
                "distinct_id": {"type": ["string", "number"]},
            },
        },
    },
}
_OPERATION = {
    "operationId": "postMixpanelEvents",
    "tags": ["Mixpanel"],
    "summary": "Take in events of Mixpanel's clients",
    "description": "A form with the JSON text in `data`, as it is or in base64, is taken as well.",
    "security": [{"mixpanelToken": []}, {}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"type": "array", "maxItems": MAX_EVENTS, "items": _EVENT}, _EVENT]},
                "example": [
                    {
                        "event": "signup",
                        "properties": {
                            "token": "pk_live_...",
                            "distinct_id": "u-1",
                            "$insert_id": "i-1",
                            "time": 1795162500,
                        },
                    }
                ],
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [Mixpanel()]
