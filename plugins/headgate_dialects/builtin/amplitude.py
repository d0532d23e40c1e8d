"""Amplitude's HTTP V2 API and its batch upload: `POST /2/httpapi` and `/batch`."""

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.formats import document
from headgate_dialects.formats.batch import EventFault, beside, parse_batch, take, take_text, text_id
from headgate_dialects.formats.moment import unix
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Dialect, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.hookspecs import hookimpl
from headgate_dialects.sdk.refusals import Body, Cause, Refusals, Refused, standard_rows
from headgate_dialects.sdk.rejection import Rejection

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_EVENTS = 2000
_MISSING = "is required"
# Clients know a bad key by status 400 and the first words of `error`.
_BAD_KEY = "Invalid API key: "
_KEYS = (
    outcome_pb2.CAUSE_CREDENTIAL_INVALID,
    outcome_pb2.CAUSE_CREDENTIAL_KIND,
    outcome_pb2.CAUSE_SCOPE_MISSING,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN,
    outcome_pb2.CAUSE_PROJECT_GONE,
)
_NO_KEY = (Rejection.CREDENTIAL_MISSING, outcome_pb2.CAUSE_CREDENTIAL_MISSING)
_STATUSES: Mapping[Cause, int] = dict.fromkeys((*_KEYS, *_NO_KEY), 400)
_PAGE = {
    "Page Location": "href",
    "Page URL": "href",
    "Page Domain": "domain",
    "Page Path": "path",
    "Page Title": "title",
}


def _words(status: int, code: str, when: str) -> Body:
    def body(refused: Refused) -> dict[str, Any]:
        made: dict[str, Any] = {"code": status, "error": when}
        if code == "unauthorized" and when != _WITHOUT_KEY:
            made["error"] = _BAD_KEY + when
        elif code == "unauthorized":
            made |= {"error": "Request missing required field", "missing_field": "api_key"}
        elif code == "rate_limited":
            made |= {"eps_threshold": refused.limit, "throttled_devices": {}, "throttled_users": {}}
            made["throttled_events"] = []
        elif refused.faults:
            made |= _faulty(refused.faults)
        return made

    return body


_WITHOUT_KEY = "Send the project's public key."


def _faulty(faults: Sequence[Fault]) -> dict[str, Any]:
    """Which events are at fault, by field: clients send the others again."""
    missing: dict[str, list[int]] = {}
    invalid: dict[str, list[int]] = {}
    for fault in faults:
        if fault.index is not None:
            (missing if fault.message == _MISSING else invalid).setdefault(fault.field or "event", []).append(
                fault.index
            )
    made: dict[str, Any] = {"error": "Some events are not valid: " + _first(faults)}
    return made | {"events_with_missing_fields": missing, "events_with_invalid_fields": invalid}


def _first(faults: Sequence[Fault]) -> str:
    return f"{faults[0].field} {faults[0].message}".strip()


class Amplitude:
    """The dialect. All or nothing: the answer names what is not valid, and clients send the others again."""

    api = Api("amplitude", "Amplitude", (Route("/2/httpapi"), Route("/batch")), max_body_bytes=MAX_BODY_BYTES)
    _refusals = Refusals(standard_rows(_words, _STATUSES), MAX_BODY_BYTES, whole="events")

    def parse(self, inbound: Inbound) -> Parsed:
        root = document.read(inbound.body)
        root = root if isinstance(root, dict) else {}
        key = root.get("api_key")
        if not isinstance(key, str) or not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        values = root.get("events")
        if not isinstance(values, list) or not values:
            raise Unparsable(Rejection.INVALID, [Fault(None, "events", "must be an array of events")], credential=key)
        return parse_batch(values, inbound.body, key, _write, most=MAX_EVENTS, all_or_nothing=True)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        taken = len(parsed.events)
        body: dict[str, Any] = {"code": 200, "events_ingested": taken}
        if response.HasField("receive_time"):
            time = response.receive_time
            body["server_upload_time"] = time.seconds * 1000 + time.nanos // 1_000_000
        return Answer(200, body)

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        answer = self._refusals.refused(refusal)
        events = () if parsed is None else parsed.events
        if refusal.cause == outcome_pb2.CAUSE_RATE_LIMITED:
            # Clients wait half a minute before they send these again, and next to nothing before the others.
            return Answer(answer.status, {**answer.body, "throttled_events": list(range(len(events)))})
        if refusal.cause == outcome_pb2.CAUSE_QUOTA_EXCEEDED:
            users = {event.user_id: refusal.used for event in events if event.user_id}
            devices = {event.anonymous_id: refusal.used for event in events if event.anonymous_id}
            # Which tells them to give up.
            full = {"exceeded_daily_quota_users": users, "exceeded_daily_quota_devices": devices}
            return Answer(answer.status, {**answer.body, **full, "throttled_events": list(range(len(events)))})
        return answer

    def rejected(self, unparsable: Unparsable) -> Answer:
        return self._refusals.rejected(unparsable)

    def operation(self) -> dict[str, Any]:
        return _OPERATION | {"responses": {"200": _OK} | self._refusals.responses(_ERROR)}

    def components(self) -> dict[str, Any]:
        return {"schemas": {"AmplitudeEvent": _EVENT}}


def _write(value: dict[str, Any], event: event_pb2.Event) -> None:
    rest = dict(value)
    event.name = take_text(rest, "event_type")
    if not event.name:
        raise EventFault("event_type", _MISSING)
    most = document.MAX_TEXT_BYTES
    event.event_id = text_id(rest.pop("insert_id", None), "insert_id")
    event.user_id = text_id(rest.pop("user_id", None), "user_id", most=most)
    event.anonymous_id = text_id(rest.pop("device_id", None), "device_id", most=most)
    if not event.user_id and not event.anonymous_id:
        raise EventFault("user_id", _MISSING)
    session = rest.pop("session_id", None)
    # It means that the event is of no session.
    event.session_id = "" if session == -1 else text_id(session, "session_id", most=most)
    _write_time(rest.pop("time", None), event)
    if agent := take_text(rest, "user_agent"):
        event.request.user_agent = agent
    if isinstance(rest.get("ip"), str) and not rest["ip"].startswith("$"):
        event.request.client_ip = rest.pop("ip")
    if library := take_text(rest, "library"):
        event.sdk.name, _, event.sdk.version = library.partition("/")
    properties = take(rest, "event_properties")
    for name, field in _PAGE.items():
        if text := take_text(properties, f"[Amplitude] {name}"):
            setattr(event.page, field, text)
    document.name_person(event)
    document.keep(event, beside(properties, rest))


def _write_time(time: object, event: event_pb2.Event) -> None:
    if time is None:
        return
    moment = unix(time) if isinstance(time, int | float) and not isinstance(time, bool) else None
    if moment is None or not moment.storable:
        raise EventFault("time", "must be milliseconds since 1970")
    moment.write(event.occur_time)


_EVENT = {
    "type": "object",
    "required": ["event_type"],
    "properties": {
        "event_type": {"type": "string", "minLength": 1},
        "user_id": {"type": ["string", "number", "null"]},
        "device_id": {"type": ["string", "number", "null"], "description": "One of the two is required."},
        "insert_id": {"type": ["string", "null"], "description": "The same id counts once in 24 hours."},
        "time": {"type": ["number", "null"], "description": "Milliseconds since 1970."},
        "event_properties": {"type": ["object", "null"]},
        "user_properties": {"type": ["object", "null"]},
    },
}
_OK = {
    "description": "Every event is stored.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["code", "events_ingested"],
                "properties": {
                    "code": {"const": 200},
                    "events_ingested": {"type": "integer", "minimum": 0},
                    "server_upload_time": {"type": "integer", "description": "Milliseconds since 1970."},
                },
            },
            "example": {"code": 200, "events_ingested": 2, "server_upload_time": 1795162500123},
        }
    },
}
_BY_FIELD = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}}
_ERROR = {
    "type": "object",
    "required": ["code", "error"],
    "properties": {
        "code": {"type": "integer"},
        "error": {"type": "string"},
        "missing_field": {"type": "string"},
        "events_with_missing_fields": _BY_FIELD,
        "events_with_invalid_fields": _BY_FIELD,
        "throttled_events": {"type": "array", "items": {"type": "integer"}},
    },
}
_OPERATION = {
    "operationId": "postAmplitudeEvents",
    "tags": ["Amplitude"],
    "summary": "Take in events of Amplitude's clients, all or none",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["api_key", "events"],
                    "properties": {
                        "api_key": {"type": "string", "description": "A public or test key."},
                        "events": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_EVENTS,
                            "items": {"$ref": "#/components/schemas/AmplitudeEvent"},
                        },
                    },
                },
                "example": {
                    "api_key": "pk_live_...",
                    "events": [
                        {"event_type": "signup", "user_id": "user-1", "insert_id": "i-1", "time": 1795162500123}
                    ],
                },
            }
        },
    },
}


@hookimpl
def headgate_register_dialects() -> list[Dialect]:
    return [Amplitude()]
