"""The rules that hold for every API: what is malformed, and what is too large."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from headgate.v1 import ingest_service_pb2
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.builtin.prompting_company import PromptingCompany
from headgate_dialects.builtin.realanalytics import RealAnalytics
from headgate_dialects.builtin.xaiku import Xaiku
from headgate_dialects.formats import strict_json
from headgate_dialects.sdk.dialect import Dialect, Inbound, Unparsable
from headgate_dialects.sdk.rejection import Rejection

DIALECTS: tuple[Dialect, ...] = (Codcompass(), Xaiku(), RealAnalytics(), PromptingCompany())
dialects = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.api.name)

HEADERS = {
    "codcompass": {},
    "xaiku": {"x-public-key": "pk_live_1"},
    "realanalytics": {"x-api-key": "pk_live_1"},
    "prompting_company": {"x-api-key": "org_live_1"},
}
# One valid event of each, with one string property of the given value.
EVENTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "codcompass": lambda value: {"type": "a", "payload": {"k": value}},
    "xaiku": lambda value: {"eventName": "a", "experimentId": "e", "sessionId": "s", "k": value},
    "realanalytics": lambda value: {
        "event": "a",
        "timestamp": "2026-02-03",
        "distinctId": "d",
        "sessionId": "s",
        "properties": {"k": value},
    },
    "prompting_company": lambda value: {
        "event": "page_visit",
        "page": {"href": "https://example.com/"},
        "properties": {"k": value},
    },
}
SINGLE = {"prompting_company"}


def _inbound(dialect: Dialect, body: bytes) -> Inbound:
    return Inbound(HEADERS[dialect.api.name], body)


def _body(dialect: Dialect, *events: Any) -> bytes:
    root = events[0] if dialect.api.name in SINGLE else {"events": list(events)}
    return json.dumps(root, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _rejected(dialect: Dialect, body: bytes) -> Unparsable:
    with pytest.raises(Unparsable) as raised:
        dialect.parse(_inbound(dialect, body))
    return raised.value


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@dialects
@pytest.mark.parametrize(
    "value",
    [b"NaN", b"Infinity", b"-Infinity", b'"\xff"', b'"\xed\xa0\x80"', b"01", b"[1,]", b"'x'"],
)
def test_malformed_values(dialect: Dialect, value: bytes) -> None:
    body = _body(dialect, EVENTS[dialect.api.name]("@")).replace(b'"@"', value)
    unparsable = _rejected(dialect, body)
    assert unparsable.cause is Rejection.NOT_JSON
    assert dialect.rejected(unparsable).status == (500 if dialect.api.name == "codcompass" else 400)


def _property(dialect: Dialect, body: bytes) -> Any:
    (event,) = dialect.parse(_inbound(dialect, body)).events
    return json.loads(event.properties_json)["k"]


@dialects
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b'"a\\ud83c"', "a\ufffd"),
        (b'"\\udc00b"', "\ufffdb"),
        (b'"\\ud83d\\ude00\\ud83d"', "\U0001f600\ufffd"),
        (b"1e400", None),
    ],
)
def test_what_a_javascript_server_takes_is_taken(dialect: Dialect, given: bytes, kept: Any) -> None:
    body = _body(dialect, EVENTS[dialect.api.name]("@")).replace(b'"@"', given)
    assert _property(dialect, body) == kept


@dialects
def test_a_byte_order_mark_is_skipped(dialect: Dialect) -> None:
    assert _property(dialect, b"\xef\xbb\xbf" + _body(dialect, EVENTS[dialect.api.name](1))) == 1


@dialects
def test_the_last_of_equal_keys_wins_in_an_event(dialect: Dialect) -> None:
    body = _body(dialect, EVENTS[dialect.api.name]("a")).replace(b'"k": "a"', b'"k": "a", "k": "b"')
    assert _property(dialect, body) == "b"


@dialects
def test_a_key_twice_in_the_envelope_refuses_nothing(dialect: Dialect) -> None:
    assert _property(dialect, b'{"a":1,"a":1,' + _body(dialect, EVENTS[dialect.api.name](1))[1:]) == 1


@dialects
def test_what_lies_deeper_than_32_is_cut(dialect: Dialect) -> None:
    # The outermost container counts as 1; the property is as deep as its dialect puts it. API 4's are flat.
    above = {"codcompass": 4, "xaiku": 3, "realanalytics": 4, "prompting_company": 2}[dialect.api.name]
    for depth in (32 - above, 33 - above, 500):
        body = _body(dialect, EVENTS[dialect.api.name](_nested(depth)))
        if dialect.api.name in SINGLE:
            assert _rejected(dialect, body).cause is Rejection.INVALID
            continue
        value = _property(dialect, body)
        if depth == 32 - above:
            assert value == _nested(depth)
        else:
            assert '[{"$truncated": true}]' in json.dumps(value)


@dialects
def test_a_string_of_32_kib_is_the_longest(dialect: Dialect) -> None:
    longest = _body(dialect, EVENTS[dialect.api.name]("é" * (16 * 1024)))
    assert len(dialect.parse(_inbound(dialect, longest)).events) == 1
    _assert_event_fault(dialect, EVENTS[dialect.api.name]("é" * (16 * 1024) + "x"))


@dialects
def test_an_event_over_64_kib(dialect: Dialect) -> None:
    event = EVENTS[dialect.api.name]("x" * 30_000)
    fields = (
        event if dialect.api.name == "xaiku" else event["payload" if dialect.api.name == "codcompass" else "properties"]
    )
    fields["l"] = "x" * 30_000
    assert len(dialect.parse(_inbound(dialect, _body(dialect, event))).events) == 1
    fields["m"] = "x" * 6_000
    _assert_event_fault(dialect, event)


def _assert_event_fault(dialect: Dialect, oversize: dict[str, Any]) -> None:
    """A fault of that event, worded as any other; API 1, whose document limits nothing but the body, cuts it."""
    if dialect.api.name == "codcompass":
        parsed = dialect.parse(_inbound(dialect, _body(dialect, oversize, EVENTS[dialect.api.name](1))))
        assert (len(parsed.events), parsed.refused) == (2, 0)
        assert b'"$truncated":true' in parsed.events[0].properties_json
        assert len(parsed.events[0].properties_json) < strict_json.MAX_EVENT_BYTES
        return
    unparsable = _rejected(dialect, _body(dialect, oversize))
    assert (unparsable.cause, unparsable.refused) == (Rejection.INVALID, 1)
    assert [fault.field for fault in unparsable.faults] == ["" if dialect.api.name in SINGLE else "events"]
    if dialect.api.name == "xaiku":
        parsed = dialect.parse(_inbound(dialect, _body(dialect, oversize, EVENTS[dialect.api.name](1))))
        assert (len(parsed.events), parsed.refused, list(parsed.places)) == (1, 1, [1])


@pytest.mark.parametrize("dialect", DIALECTS[:2], ids=lambda dialect: dialect.api.name)
def test_ten_thousand_events_are_the_most(dialect: Dialect) -> None:
    events = [EVENTS[dialect.api.name](1)] * 10_000
    assert len(dialect.parse(_inbound(dialect, _body(dialect, *events))).events) == 10_000
    unparsable = _rejected(dialect, _body(dialect, *events, 1))
    assert (unparsable.cause, unparsable.refused) == (Rejection.TOO_LARGE, 10_001)
    expected: dict[str, Any] = {"error": "Payload too large"}
    answer = dialect.rejected(unparsable)
    assert answer.body == (expected if dialect.api.name == "codcompass" else expected | {"limit": 10_000})
    assert answer.status == 413


FLOOD = b"{}," * 300_000 + b"{}"


@pytest.mark.parametrize("dialect", DIALECTS[:3], ids=lambda dialect: dialect.api.name)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"events":[', b"]}"),
        (b'{"ev\\u0065nts":[', b'],"timestamp":"2026-02-03T15:30:00.000Z"}'),
        (b'{"pkey":"pk_live_b","apiKey":"pk_live_b","events":[', b"]}"),
        (b'{"events":[', b'],"more":"\\ud83c"}'),
    ],
    ids=["plain", "escaped", "key-in-body", "mended"],
)
def test_too_many_events_are_counted_before_anything_is_built(dialect: Dialect, before: bytes, after: bytes) -> None:
    body = before + FLOOD + after
    headers = {} if b"pk_live_b" in body else HEADERS[dialect.api.name]
    tracemalloc.start()
    try:
        with pytest.raises(Unparsable) as raised:
            dialect.parse(Inbound(headers, body))
        # Three hundred thousand objects are over 20 MiB.
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
    cause = Rejection.INVALID if dialect.api.name == "realanalytics" else Rejection.TOO_LARGE
    assert (raised.value.cause, raised.value.refused) == (cause, 300_001)
    keys = {"codcompass": None} if headers else {"codcompass": None, "xaiku": "pk_live_b", "realanalytics": "pk_live_b"}
    assert raised.value.credential == keys.get(dialect.api.name, "pk_live_1")


def test_other_arrays_are_no_events() -> None:
    many = [[]] * 20_000
    body = json.dumps({"events": [EVENTS["xaiku"](1)], "more": many}).encode()
    assert len(DIALECTS[1].parse(_inbound(DIALECTS[1], body)).events) == 1
    body = json.dumps(EVENTS["realanalytics"](1) | {"more": many[:12_000]}).encode()
    assert len(DIALECTS[2].parse(_inbound(DIALECTS[2], body)).events) == 1


def test_api_3_has_its_own_most_events() -> None:
    realanalytics = DIALECTS[2]
    unparsable = _rejected(realanalytics, json.dumps([1] * 10_001).encode())
    assert (unparsable.cause, unparsable.refused) == (Rejection.INVALID, 10_001)
    assert [fault.field for fault in unparsable.faults] == ["events"]


def test_wire_limits() -> None:
    assert [dialect.api.max_body_bytes for dialect in DIALECTS] == [4 * 1024 * 1024] + [1024 * 1024] * 3
    assert [dialect.api.routes[0].path for dialect in DIALECTS] == [
        "/api/analytics",
        "/api/v1/analytics",
        "/",
        "/api/v1/analytics/events",
    ]


def test_a_thousand_details_are_the_most_of_api_2() -> None:
    xaiku = DIALECTS[1]
    parsed = xaiku.parse(_inbound(xaiku, _body(xaiku, EVENTS["xaiku"](1), *[{}] * 400)))

    body = xaiku.accepted(parsed, ingest_service_pb2.IngestEventsResponse()).body
    assert (body["received"], body["rejected"], len(body["details"])) == (1, 400, 1_000)
