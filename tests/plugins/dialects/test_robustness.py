"""Whatever a client sends, `parse` answers with events or with Unparsable, and every answer can be written."""

import string
from typing import Any

import orjson
import pytest
from headgate.v1 import ingest_service_pb2
from headgate_dialects.host import built_in
from headgate_dialects.sdk.dialect import Dialect, Inbound, Unparsable
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = (
    *("events", "pkey", "apiKey", "timestamp", "type", "payload", "userId", "sessionId", "event", "distinctId"),
    *("eventName", "experimentId", "variantId", "conversion", "test", "loadTime", "scrollDepth", "referrer"),
    *(
        "utm_source",
        "domain",
        "userAgent",
        "properties",
        "page",
        "href",
        "canonicalUrl",
        "title",
        "request",
        "clientIp",
    ),
    *("sdk", "name", "occurredAt", "eventId", "anonymousId"),
)
KEYS = st.sampled_from(NAMES) | st.text(st.characters(codec="utf-8"), max_size=4)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["page_visit", "pk_live_1", "2026-02-03", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "https://x.example/"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8), max_leaves=25
)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=8)
ROOTS = (
    VALUES
    | st.lists(EVENTS, max_size=4)
    | st.builds(lambda rest, events: rest | {"events": events}, EVENTS, st.lists(EVENTS | SCALARS, max_size=4))
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-public-key": st.sampled_from(["pk_live_1", "", "x"]),
        "x-api-key": st.sampled_from(["org_live_1", ""]),
        "authorization": st.text(string.printable, max_size=12) | st.just("Bearer x"),
        "cookie": st.text(string.printable, max_size=12) | st.just("better-auth.session_token=x"),
    },
)
dialects = pytest.mark.parametrize("dialect", built_in(), ids=lambda dialect: dialect.api.name)


@dialects
@given(root=ROOTS, headers=HEADERS)
@settings(max_examples=200, deadline=None)
def test_any_json(dialect: Dialect, root: Any, headers: dict[str, str]) -> None:
    _parse_and_answer(dialect, orjson.dumps(root), headers)


@dialects
@given(body=st.binary(max_size=64) | st.text(string.printable + '{}[]:,"', max_size=64).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes(dialect: Dialect, body: bytes) -> None:
    _parse_and_answer(dialect, body, {"x-public-key": "pk_live_1", "x-api-key": "key"})


@dialects
@pytest.mark.parametrize("number", [b"1" + b"0" * 400, b"9" * 5000, b"18446744073709551616", b"-9223372036854775809"])
def test_numbers_beyond_64_bits(dialect: Dialect, number: bytes) -> None:
    event = b'{"type":"a","eventName":"a","experimentId":"e","sessionId":"s","k":{"k":1,"k":%b},"properties":{"k":%b}}'
    body = b'{"timestamp":%b,"events":[%b],"event":"page_visit"}' % (number, event % (number, number))
    _parse_and_answer(dialect, body, {"x-public-key": "pk_live_1", "x-api-key": "key"})


def _parse_and_answer(dialect: Dialect, body: bytes, headers: dict[str, str]) -> None:
    try:
        parsed = dialect.parse(Inbound(headers, body))
    except Unparsable as unparsable:
        answer = dialect.rejected(unparsable)
        assert answer.status in (400, 401, 403, 413, 422, 500)
        assert answer.status != 500 or dialect.api.name == "codcompass"
    else:
        results = [{"index": index} for index in range(len(parsed.events))]
        answer = dialect.accepted(parsed, ingest_service_pb2.IngestEventsResponse(results=results))
        assert answer.status == 200
        for event in parsed.events:
            assert event.name
            event.FromString(event.SerializeToString())
            assert not event.properties_json or orjson.loads(event.properties_json)
            set_by_the_service = {"project_id", "receive_time", "sample_weight", "dialect"}
            assert not set_by_the_service & {field.name for field, _ in event.ListFields()}
    orjson.dumps(answer.body)
