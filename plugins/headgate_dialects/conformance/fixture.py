"""A fixture: one request as a client sends it, what it means, and the answer to it."""

import json
import re
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2

from headgate_dialects.sdk.dialect import Answer, Dialect, Inbound, Parsed, Unparsable


def check_fixture(dialect: Dialect, path: Path) -> None:
    """Holds `dialect` to a file of JSON.

    `request` has `headers`, the body as `json` or as `text` or, in hexadecimal, as `bytes`, and where they matter
    `path`, `method` and `query`. Then come either `events` (protobuf JSON with `properties` as an object; with
    `credential`, `project` and `refused` where not empty) or a `rejection`. `service` is what the service makes of the
    events (by default it accepts them all), and `answer` the HTTP answer.
    """
    fixture = json.loads(path.read_text(encoding="utf-8"))
    inbound = _inbound(dialect, fixture["request"])
    if "rejection" in fixture:
        answer = _check_rejection(dialect, inbound, fixture)
    else:
        parsed = dialect.parse(inbound)
        events = [_written(event) for event in parsed.events]
        assert events == fixture["events"], (
            f"{path.name}: the events are {json.dumps(events)}, not {json.dumps(fixture['events'])}"
        )
        told = (parsed.credential, parsed.project, parsed.refused)
        assert told == (fixture.get("credential", ""), fixture.get("project", ""), fixture.get("refused", 0)), path.name
        answer = _answer(dialect, parsed, fixture.get("service", {}))
    body = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
    worded = {"status": answer.status, "body": _without_parser_words(body)}
    assert worded == fixture["answer"], f"{path.name}: the answer is {json.dumps(worded)}"


def _inbound(dialect: Dialect, request: dict[str, Any]) -> Inbound:
    if "bytes" in request:
        body = bytes.fromhex(request["bytes"])
    else:
        body = (request["text"] if "text" in request else json.dumps(request["json"])).encode()
    path = request.get("path", dialect.api.routes[0].path)
    return Inbound(request["headers"], body, path, request.get("method", "POST"), request.get("query", ""))


def _check_rejection(dialect: Dialect, inbound: Inbound, fixture: dict[str, Any]) -> Answer:
    expected = fixture["rejection"]
    try:
        dialect.parse(inbound)
    except Unparsable as unparsable:
        told = (unparsable.cause.value, unparsable.credential, unparsable.project, unparsable.refused)
        wanted = (expected["cause"], fixture.get("credential"), fixture.get("project", ""), expected.get("refused", 0))
        assert told == wanted
        return dialect.rejected(unparsable)
    raise AssertionError(f"it was to be rejected: {expected}")


def _written(event: event_pb2.Event) -> dict[str, Any]:
    written: dict[str, Any] = MessageToDict(event)
    if written.pop("propertiesJson", None):
        written["properties"] = json.loads(event.properties_json)
    return written


def _answer(dialect: Dialect, parsed: Parsed, service: dict[str, Any]) -> Answer:
    if "refusal" in service:
        return dialect.refused(ParseDict(service["refusal"], outcome_pb2.Refusal()), parsed)
    response = service.get("response") or {
        "receiveTime": "2026-11-21T09:00:00.123Z",
        "results": [
            {"index": index, "outcome": "OUTCOME_ACCEPTED", "eventId": event.event_id or f"made-{index}"}
            for index, event in enumerate(parsed.events)
        ],
    }
    return dialect.accepted(parsed, ParseDict(response, ingest_service_pb2.IngestEventsResponse()))


def _without_parser_words(body: Any) -> Any:
    return json.loads(re.sub(r"(not valid JSON)[^\"]*", r"\1", json.dumps(body)))
