"""API 4 says of every body what its own document's JSON Schema says, and answers within its response schemas."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from ada_url import check_url
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import ingest_service_pb2, outcome_pb2
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.formats.moment import rfc3339
from headgate_dialects.sdk.dialect import Fault, Inbound, Unparsable
from headgate_dialects.sdk.rejection import Rejection
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from rfc3339_validator import validate_rfc3339

DOCUMENT = json.loads((Path(__file__).parent / "fixtures" / "prompting_company.document.json").read_text())
FORMATS = FormatChecker(("date-time",))
# The document says `uri`; its clients send what browsers have in `location.href`.
FORMATS.checks("uri")(lambda text: not isinstance(text, str) or check_url(text))
REQUEST = Draft202012Validator(DOCUMENT["request"], format_checker=FORMATS)
RESPONSES = {
    int(status): Draft202012Validator(schema, format_checker=FORMATS)
    for status, schema in DOCUMENT["responses"].items()
}
DIALECT = PromptingCompany()
HEADERS = {"x-api-key": "org_live_1"}

# No newline: the reference checkers' patterns let one follow the end. No sixtieth second: the reference for date-times
# knows no leap seconds, which RFC 3339 has; fixtures cover them.
TWO = st.integers(0, 62).map(lambda number: f"{number:02}")
DATE_TIMES = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(["2026", "2024", "1900", "2000", "0000", "0001", "9999", "26", "٢٠٢٦"]),
    st.sampled_from(["01", "02", "06", "12", "13", "00", "1"]),
    st.sampled_from(["01", "28", "29", "30", "31", "32", "00"]),
    st.sampled_from("TTTt _"),
    st.sampled_from(["00", "12", "23", "24", "7"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["00", "59", "61"]),
    st.sampled_from(["", "", ".5", ".123456789012", ".", ",5"]),
    st.sampled_from(["Z", "Z", "z", "", "+01:00", "-23:59", "+24:00", "+00:60", "+0100", "+01"]),
)
URIS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["https:", "https:", "a+b-c.1:", "1a:", "mailto:", "", ":"]),
    st.sampled_from(
        [
            "",
            "//example.com",
            "//u:p@h:80",
            "//h:",
            "//h:x",
            "//[::1]",
            "//[::ffff:192.0.2.1]:1",
            "//[1:2:3]",
            "//[v1.a:b]",
            "//[fe80::1%25eth0]",
            "//[::1",
            "//192.0.2.256",
            "//%41",
            "//%4",
            "//a b",
            "//é",
            "//a@b@c",
            "//[1::2::3]",
            "//[]",
        ]
    ),
    st.sampled_from(
        ["", "/", "/a/b", "//a", "a/b", "/%20", "/%zz", "/a b", "/é", "/a:b@c", "/[x]", "/a|b", "/\\", "/^`{}"]
    ),
    st.sampled_from(["", "?", "?a=b&c=/?", "?[x]", "?é", "?%"]),
    st.sampled_from(["", "#", "#f/?", "##", "#%41", '#"']),
)
JUNK = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.just("") | st.lists(st.none(), max_size=1)
JUNK |= st.dictionaries(st.sampled_from(["a", "href", "a/b", "~"]), st.none() | st.lists(st.none()), max_size=2)


def _mostly(valid: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(valid, valid, valid, JUNK)


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
NULLABLE = _mostly(TEXT | st.none())
URI = _mostly(st.just("https://example.com/a?b#c") | URIS)
PAGE = st.fixed_dictionaries(
    {"href": URI},
    optional={"domain": _mostly(TEXT), "pathname": _mostly(TEXT), "title": NULLABLE, "canonicalUrl": URI, "x": JUNK},
)
BODIES = st.fixed_dictionaries(
    {"event": _mostly(st.just("page_visit")), "page": _mostly(PAGE)},
    optional={
        "occurredAt": _mostly(st.just("2026-02-03T15:30:00Z") | DATE_TIMES),
        "eventId": _mostly(TEXT),
        "sessionId": NULLABLE,
        "anonymousId": NULLABLE,
        "request": _mostly(
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("referrer", "userAgent", "clientIp", "method", "x"), NULLABLE)
            )
        ),
        "sdk": _mostly(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "version", "runtime"), _mostly(TEXT)))
        ),
        "properties": _mostly(st.dictionaries(TEXT, _mostly(TEXT | st.integers() | st.none()), max_size=3)),
        "other": JUNK,
    },
)


@given(body=BODIES | st.dictionaries(st.sampled_from(["event", "page", "x"]), JUNK))
@example(body={"event": "page_visit", "page": {"href": "https://example.com/"}})
@settings(max_examples=1500, deadline=None)
def test_verdict(body: dict[str, Any]) -> None:
    # What the wire carries: integers over 64 bits become floats.
    encoded = json.dumps(body).encode()
    errors = list(REQUEST.iter_errors(orjson.loads(encoded)))
    if errors:
        with pytest.raises(Unparsable) as raised:
            DIALECT.parse(Inbound(HEADERS, encoded))
        assert raised.value.cause is Rejection.INVALID
        assert {fault.field for fault in raised.value.faults} == {path for error in errors for path in _paths(error)}
        answer = DIALECT.rejected(raised.value)
    else:
        parsed = DIALECT.parse(Inbound(HEADERS, encoded))
        result = outcome_pb2.EventResult(
            event_id=parsed.events[0].event_id or "made", receive_time=Timestamp(seconds=1)
        )
        answer = DIALECT.accepted(parsed, ingest_service_pb2.IngestEventsResponse(results=[result]))
    RESPONSES[answer.status].validate(answer.body)


def _paths(error: Any) -> list[str]:
    """As JSON Pointers; a missing field by its own path."""
    here = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.absolute_path)
    if error.validator != "required":
        return [here]
    return [f"{here}/{name}" for name in error.validator_value if name not in error.instance]


@given(text=DATE_TIMES)
@settings(max_examples=1000, deadline=None)
def test_date_times(text: str) -> None:
    assert (rfc3339(text) is not None) == validate_rfc3339(text.upper())


def test_an_address_that_grows_over_32_kib_is_too_large() -> None:
    href = "https://example.com/" + "\u00e9" * 6_000
    with pytest.raises(Unparsable) as raised:
        DIALECT.parse(Inbound(HEADERS, orjson.dumps({"event": "page_visit", "page": {"href": href}})))
    (fault,) = raised.value.faults
    assert (fault.field, fault.message) == ("/page/href", "is over 32768 bytes where it is serialised")


@pytest.mark.parametrize("cause", outcome_pb2.Cause.values())
def test_refusals_fit_the_documents_schemas(cause: outcome_pb2.Cause) -> None:
    answer = DIALECT.refused(outcome_pb2.Refusal(cause=cause, limit=5))
    # Statuses that the document does not list take the form of those it does.
    RESPONSES.get(answer.status, RESPONSES[400]).validate(answer.body)


@pytest.mark.parametrize("cause", Rejection)
def test_rejections_fit_the_documents_schemas(cause: Rejection) -> None:
    answer = DIALECT.rejected(Unparsable(cause, [Fault(None, "/page", "is required")]))
    RESPONSES.get(answer.status, RESPONSES[400]).validate(answer.body)


def test_the_operation_is_the_documents() -> None:
    operation = DIALECT.operation()
    assert {key: operation[key] for key in ("operationId", "tags", "security")} == {
        key: DOCUMENT[key] for key in ("operationId", "tags", "security")
    }
    assert operation["requestBody"]["content"]["application/json"]["schema"] == DOCUMENT["request"]
    ours = {
        status: response["content"]["application/json"]["schema"] for status, response in operation["responses"].items()
    }
    assert {status: ours[status] for status in DOCUMENT["responses"]} == DOCUMENT["responses"]
    assert {"413", "415", "429", "503"} <= set(ours)
    schemes = DIALECT.components()["securitySchemes"]
    for name, scheme in DOCUMENT["securitySchemes"].items():
        assert scheme.items() <= schemes[name].items()
    assert set(schemes["apiKeyAuth"]["x-scopes"]) == {*DOCUMENT["scopes"], "events:write"}
