"""Every dialect against its fixtures: a request, what it means, and the answer to what became of it.

A fixture holds `request` (`headers`, and the body as `json` or, where bytes matter, as `text`), then either `events`
(protobuf JSON with `properties` as an object; with `credential`, `project` and `refused` where not empty) or a
`rejection`; `service` is what the service makes of the events (by default it accepts them all), and `answer` the
HTTP answer.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from headgate.v1 import event_pb2, ingest_service_pb2, outcome_pb2
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.host import built_in
from headgate_dialects.sdk.dialect import Answer, Dialect, Inbound, Parsed, Unparsable

FOLDER = Path(__file__).parent / "fixtures"
# Those of the others are in the conformance kit.
FIXTURES = sorted(path for path in FOLDER.glob("*/*.json") if not (path.parent / "sample.json").exists())
NOW = 1_795_255_200_500_000_000  # 2026-11-21T10:00:00.5Z
BY_NAME: dict[str, Dialect] = {dialect.api.name: dialect for dialect in built_in()} | {
    "prompting_company": PromptingCompany(now=lambda: NOW)
}


def test_every_dialect_has_fixtures() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/*.json")} == {dialect.api.name for dialect in built_in()}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_fixture(path: Path) -> None:
    fixture = json.loads(path.read_text())
    dialect = BY_NAME[path.parent.name]
    inbound = Inbound(fixture["request"]["headers"], _body(fixture["request"]))
    if "rejection" in fixture:
        with pytest.raises(Unparsable) as raised:
            dialect.parse(inbound)
        assert _rejection(raised.value) == _rejection_expected(fixture)
        answer = dialect.rejected(raised.value)
    else:
        parsed = dialect.parse(inbound)
        assert [_event(event) for event in parsed.events] == fixture["events"]
        assert (parsed.credential, parsed.project) == (fixture.get("credential", ""), fixture.get("project", ""))
        assert parsed.refused == fixture.get("refused", 0)
        answer = _answer(dialect, parsed, fixture.get("service", {}))
    assert {"status": answer.status, "body": _without_parser_words(answer.body)} == fixture["answer"]


def _body(request: dict[str, Any]) -> bytes:
    text: str = request["text"] if "text" in request else json.dumps(request["json"])
    return text.encode()


def _without_parser_words(body: Mapping[str, Any]) -> Any:
    return json.loads(re.sub(r"(not valid JSON)[^\"]*", r"\1", json.dumps(body)))


def _event(event: event_pb2.Event) -> dict[str, Any]:
    written: dict[str, Any] = MessageToDict(event)
    if "propertiesJson" in written:
        del written["propertiesJson"]
        written["properties"] = json.loads(event.properties_json)
    return written


def _rejection(unparsable: Unparsable) -> tuple[Any, ...]:
    return unparsable.cause.value, unparsable.credential, unparsable.project, unparsable.refused


def _rejection_expected(fixture: dict[str, Any]) -> tuple[Any, ...]:
    expected = fixture["rejection"]
    return expected["cause"], fixture.get("credential"), fixture.get("project", ""), expected.get("refused", 0)


def _answer(dialect: Dialect, parsed: Parsed, service: dict[str, Any]) -> Answer:
    if "refusal" in service:
        return dialect.refused(ParseDict(service["refusal"], outcome_pb2.Refusal()))
    response = service.get("response") or {
        "receiveTime": "2026-11-21T09:00:00.123Z",
        "results": [
            {"index": index, "outcome": "OUTCOME_ACCEPTED", "eventId": event.event_id or f"made-{index}"}
            for index, event in enumerate(parsed.events)
        ],
    }
    return dialect.accepted(parsed, ParseDict(response, ingest_service_pb2.IngestEventsResponse()))
