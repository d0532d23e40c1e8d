"""Every answer that the four APIs have in common or word themselves, over HTTP and through all processes."""

import gzip
import itertools
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

# The API without a key is limited by client address, and its project is found by Origin, so that each test has its own.
HEADGATE_TOML = """
[limits]
codcompass_rate = "3/60s"
[proxies]
trusted = ["127.0.0.0/8"]
[codcompass.origins]
"small.example" = "small"
"""
ORIGIN = "https://shop.example"
UNKNOWN_KEY = "pk_live_00000000000000000000000000000000"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Api:
    """One of the four: how it is spoken to, and its words. `kind` is the kind of key that opens it."""

    name: str
    path: str
    header: str
    kind: str
    max_bytes: int
    one: Callable[[str], Any]
    ok: Callable[[int], Any]
    not_json: tuple[int, Any]
    invalid: tuple[int, Any]
    no_key: tuple[int, Any]
    unknown_key: tuple[int, Any]
    wrong_kind: tuple[int, Any]
    too_large: Any
    unavailable: Any
    invalid_body: str = "{}"

    def error(self, text: str) -> Any:
        """The body of a refusal: as APIs 1 to 3 word it, or as API 4 codes it."""
        return {"code": _code(text)} if self.name == "prompting_company" else {"error": text}


def _code(text: str) -> str:
    return {"Rate limit exceeded": "rate_limited"}.get(text, text.lower().replace(" ", "_"))


def _missing(*fields: str) -> list[dict[str, Any]]:
    return [{"index": 0, "field": field, "message": "is required"} for field in fields]


XAIKU_EVENT = {"eventName": "x", "experimentId": "e", "sessionId": "s"}
APIS = [
    Api(
        name="codcompass",
        path="/api/analytics",
        header="",
        kind="",
        max_bytes=4 * MIB,
        one=lambda mark: {"events": [{"type": "x", "payload": {"mark": mark}}]},
        ok=lambda count: {"success": True, "received": count},
        not_json=(500, {"error": "Failed to process events"}),
        invalid=(400, {"error": "Invalid events"}),
        no_key=(200, {"success": True, "received": 1}),
        unknown_key=(200, {"success": True, "received": 1}),
        wrong_kind=(200, {"success": True, "received": 1}),
        too_large={"error": "Payload too large"},
        unavailable={"error": "Failed to process events"},
    ),
    Api(
        name="xaiku",
        path="/api/v1/analytics",
        header="X-public-key",
        kind="public",
        max_bytes=1_048_576,
        one=lambda mark: {"events": [{**XAIKU_EVENT, "mark": mark}]},
        ok=lambda count: {"success": True, "received": count},
        not_json=(400, {"error": "Invalid events", "details": [{"field": "body"}]}),
        invalid=(400, {"error": "Invalid events", "details": _missing("eventName", "experimentId", "sessionId")}),
        no_key=(401, {"error": "Missing or malformed public key"}),
        unknown_key=(401, {"error": "Invalid public key"}),
        wrong_kind=(401, {"error": "Missing or malformed public key"}),
        too_large={"error": "Payload too large", "limit": 1_048_576},
        unavailable={"error": "Service unavailable"},
        invalid_body='{"events":[{}]}',
    ),
    Api(
        name="realanalytics",
        path="/",
        header="X-API-Key",
        kind="public",
        max_bytes=MIB,
        one=lambda mark: {
            "event": "x",
            "timestamp": "2026-02-03T15:30:00.000Z",
            "distinctId": "u",
            "sessionId": "s",
            "properties": {"mark": mark},
        },
        ok=lambda count: {"success": True, "events": count},
        not_json=(400, {"error": "Validation failed", "details": [{"field": "body"}]}),
        invalid=(
            400,
            {
                "error": "Validation failed",
                "details": _missing("event", "timestamp", "distinctId", "sessionId", "properties"),
            },
        ),
        no_key=(401, {"error": "Invalid API key"}),
        unknown_key=(401, {"error": "Invalid API key"}),
        wrong_kind=(401, {"error": "Invalid API key"}),
        too_large={"error": "Payload too large", "limit": MIB},
        unavailable={"error": "Service unavailable"},
    ),
    Api(
        name="prompting_company",
        path="/api/v1/analytics/events",
        header="x-api-key",
        kind="organisation",
        max_bytes=MIB,
        one=lambda mark: {
            "event": "page_visit",
            "page": {"href": "https://example.com/"},
            "properties": {"mark": mark},
        },
        ok=lambda count: {"ok": True, "data": {"ok": True, "data": {"accepted": True, "status": "accepted"}}},
        not_json=(400, {"code": "bad_request", "details": [{"path": "body"}]}),
        invalid=(
            422,
            {
                "code": "validation_failed",
                "details": [
                    {"path": "/event", "message": "is required"},
                    {"path": "/page", "message": "is required"},
                ],
            },
        ),
        no_key=(401, {"code": "unauthorized"}),
        unknown_key=(401, {"code": "unauthorized"}),
        wrong_kind=(403, {"code": "forbidden"}),
        too_large={"code": "payload_too_large", "details": {"limit": MIB}},
        unavailable={"code": "unavailable"},
    ),
]
# What is another each time, or only for people to read.
_VARYING = {"eventId", "receivedAt"}
_addresses = (f"203.0.113.{number}" for number in itertools.count(1))

apis = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
keyed = pytest.mark.parametrize("api", APIS[1:], ids=lambda api: api.name)


@dataclass
class Sender:
    """Speaks one API to one Headgate, from an address of its own."""

    api: Api
    http: httpx.Client
    key: str
    address: str
    origin: str = ORIGIN

    def post(self, body: Any, key: str | None = None, **headers: str) -> httpx.Response:
        """Sends bytes as they are and anything else as JSON; what it sends can always be read by a page."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": "application/json", "X-Forwarded-For": self.address, "Origin": self.origin}
        key = self.key if key is None else key
        if key and self.api.header:
            named[self.api.header] = key
        answer = self.http.post(self.api.path, content=content, headers=named | headers)
        assert answer.headers["access-control-allow-origin"] == self.origin
        assert answer.headers["content-type"] == "application/json"
        return answer


@pytest.fixture(scope="module")
def organisation_key(headgate) -> str:
    return _organisation_key(headgate, "default")


@pytest.fixture
def sender(headgate, client, organisation_key) -> Callable[..., Sender]:
    """Makes senders into the default project or, where `project` says what it is, into a new one."""

    def make(api: Api, *project: str, origin: str = ORIGIN) -> Sender:
        keys = {**headgate.keys, "organisation": organisation_key}
        if project:
            made = headgate.json("project", "create", *project)
            keys = made["keys"]
            if api.kind == "organisation":
                keys["organisation"] = _organisation_key(headgate, made["project"]["slug"])
        return Sender(api, client, keys.get(api.kind, ""), next(_addresses), origin)

    return make


@pytest.fixture
def fresh() -> str:
    """An idempotency key, event id or mark that no other test has used."""
    return uuid.uuid4().hex


def _organisation_key(headgate, project: str, *options: str) -> str:
    return headgate.json("key", "create", "--project", project, "--kind", "organisation", *options)["key"]


def says(answer: httpx.Response, status: int, expected: Any) -> None:
    """Status and body are as expected, but for members that vary: those of API 4, and words of the JSON parser."""
    body = answer.json()
    if body.get("ok") is False:
        assert body.pop("message")
        body.pop("ok")
    if (details := body.get("details")) and isinstance(details, list) and "body" in details[0].values():
        assert details[0].pop("message")
    assert (answer.status_code, _steady(body)) == (status, expected)


def _steady(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _steady(value) for key, value in body.items() if key not in _VARYING}
    return body


@apis
class TestRefusals:
    def test_another_method(self, api, client):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            answer = client.request(method, api.path, headers={"Origin": ORIGIN})
            says(answer, 405, api.error("Method not allowed"))
            assert answer.headers["allow"] == "POST, OPTIONS"
            assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert client.head(api.path).status_code == 405

    def test_too_large(self, api, sender):
        says(sender(api).post(b" " * (api.max_bytes + 1)), 413, api.too_large)

    def test_inflated_too_large(self, api, sender):
        bomb = gzip.compress(b" " * (5 * api.max_bytes + 1))
        answer = sender(api).post(bomb, **{"Content-Encoding": "gzip"})
        says(answer, 413, json.loads(json.dumps(api.too_large).replace(str(api.max_bytes), str(5 * api.max_bytes))))

    def test_media_type_and_encoding(self, api, sender):
        sends = sender(api)
        says(sends.post(b"{}", **{"Content-Type": "image/png"}), 415, api.error("Unsupported media type"))
        answer = sends.post(b"{}", **{"Content-Encoding": "compress"})
        says(answer, 415, api.error("Unsupported media type"))
        assert "zstd" in answer.headers["accept-encoding"]

    def test_not_json(self, api, sender):
        sends = sender(api)
        for body in (b"", b"{", b'{"a":NaN}', b'{"a":"\xff"}', b"[" * 1025 + b"]" * 1025):
            says(sends.post(body), *api.not_json)
        says(sends.post(b"no gzip", **{"Content-Encoding": "gzip"}), *api.not_json)

    def test_invalid(self, api, sender):
        says(sender(api).post(api.invalid_body.encode()), *api.invalid)

    def test_keys_that_do_not_open_it(self, api, sender, headgate):
        sends = sender(api)
        says(sends.post(api.one("a"), key=""), *api.no_key)
        says(sends.post(api.one("a"), key=UNKNOWN_KEY), *api.unknown_key)
        says(sends.post(api.one("a"), key=headgate.keys["secret"]), *api.wrong_kind)

    def test_a_reused_idempotency_key(self, api, sender, fresh):
        sends = sender(api)
        assert sends.post(api.one("a"), **{"Idempotency-Key": fresh}).status_code == 200
        answer = sends.post(api.one("b"), **{"Idempotency-Key": fresh})
        says(answer, 422, api.error("Idempotency key reused"))
        assert answer.headers["ratelimit"].startswith('"burst";r=')

    def test_over_the_rate(self, api, sender):
        sends = sender(api, *((f"Rate {api.name}", "--rate-limit", "3/60s") if api.kind else ()))
        left = [sends.post(api.one("a")).headers["ratelimit"].split(";")[1] for _ in range(3)]
        assert left == ["r=2", "r=1", "r=0"]
        answer = sends.post(api.one("a"))
        usage = {"limit": 3, "used": 3, "remaining": 0}
        says(answer, 429, api.error("Rate limit exceeded") | _details(api, usage))
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit-policy"] == '"burst";q=3;w=60'
        assert answer.headers["ratelimit"].startswith('"burst";r=0;t=')

    def test_over_the_month(self, api, sender):
        name = f"Month {api.name}" if api.kind else "Small"
        sends = sender(api, name, "--monthly-limit", "1", origin="https://small.example")
        answer = sends.post(api.one("a"))
        assert '"month";q=1;qu="events"' in answer.headers["ratelimit-policy"]
        assert '"month";r=0' in answer.headers["ratelimit"]
        answer = sends.post(api.one("b"))
        usage = {"limit": 1, "used": 1, "remaining": 0}
        if api.name == "prompting_company":
            says(answer, 429, {"code": "quota_exceeded", "details": usage})
        else:
            says(answer, 429, {"error": "Monthly event limit exceeded", "code": "EVENT_LIMIT_EXCEEDED"} | usage)
        assert "retry-after" not in answer.headers
        assert answer.headers["x-should-retry"] == "false"


def _details(api: Api, usage: dict[str, int]) -> dict[str, Any]:
    return {"details": usage} if api.name == "prompting_company" else {}


@keyed
def test_a_revoked_key_opens_nothing_within_five_seconds(api, sender, headgate, wait_until):
    made = headgate.json("key", "create", "--project", "default", "--kind", api.kind)
    sends = sender(api)
    assert sends.post(api.one("a"), key=made["key"]).status_code == 200
    headgate.run("key", "revoke", made["id"])
    wait_until(lambda: sends.post(api.one("a"), key=made["key"]).status_code == 401, "the key is refused", 5)
    says(sends.post(api.one("a"), key=made["key"]), *api.unknown_key)


def test_an_organisation_key_needs_the_scope_and_may_name_another_project(sender, headgate):
    api = APIS[3]
    sends = sender(api)
    reader = _organisation_key(headgate, "default", "--scope", "content:read")
    says(sends.post(api.one("a"), key=reader), 403, {"code": "forbidden"})
    says(sends.post(api.one("a"), **{"X-Headgate-Project": "nowhere"}), 403, {"code": "forbidden"})
    assert sends.post(api.one("a"), **{"X-Headgate-Project": "default"}).status_code == 200


@apis
def test_a_repeat_with_the_key_gets_the_first_answer_whatever_its_encoding(api, sender, fresh):
    sends = sender(api)
    body = json.dumps(api.one("a")).encode()
    first = sends.post(body, **{"Idempotency-Key": fresh})
    says(first, 200, api.ok(1))
    again = sends.post(gzip.compress(body), **{"Idempotency-Key": fresh, "Content-Encoding": "gzip"})
    assert (again.status_code, again.content) == (200, first.content)
    for header in ("headgate-receipt", "ratelimit-policy"):
        assert again.headers[header] == first.headers[header]
    # It counted nothing.
    assert again.headers["ratelimit"].split(";t=")[0] == first.headers["ratelimit"].split(";t=")[0]


@apis
def test_a_refusal_leaves_the_idempotency_key_free(api, sender, fresh):
    sends = sender(api)
    assert sends.post(b"{", **{"Idempotency-Key": fresh}).status_code in (400, 500)
    assert sends.post(api.one("a"), **{"Idempotency-Key": fresh}).status_code == 200


@apis
def test_a_dry_run_shows_the_event_and_stores_nothing(api, sender, headgate, wait_until, fresh):
    sends = sender(api)
    answer = sends.post(api.one(f"tried {fresh}"), **{"Headgate-Dry-Run": "1", "Idempotency-Key": fresh})
    assert "headgate-receipt" not in answer.headers
    assert '"burst";r=' in answer.headers["ratelimit"]
    body = answer.json()
    report = body.pop("dryRun")
    assert _steady(body) == api.ok(1)
    (event,) = report["events"]
    assert event["properties"]["mark"] == f"tried {fresh}"
    assert report["quota"] == 1
    # Only who may know of the sinks is told.
    assert report.get("sinks") == (["jsonl"] if api.kind == "organisation" else None)
    # The key was not recorded: another body is no reuse.
    says(sends.post(api.one(f"stored {fresh}"), **{"Idempotency-Key": fresh}), 200, api.ok(1))

    def marks() -> set[str]:
        return {kept.get("properties", {}).get("mark", "") for kept in headgate.written()}

    wait_until(lambda: f"stored {fresh}" in marks(), "the sink has the event that was meant")
    assert f"tried {fresh}" not in marks()


@pytest.mark.parametrize("api", APIS[:3], ids=lambda api: api.name)
def test_a_dry_run_of_a_batch_costs_each_event(api, sender):
    events = api.one("a")["events"] if api.name != "realanalytics" else [api.one("a")]
    batch = {"events": events * 3} if api.name != "realanalytics" else events * 3
    report = sender(api).post(batch, **{"Headgate-Dry-Run": "1"}).json()["dryRun"]
    assert (len(report["events"]), report["quota"]) == (3, 3)


@pytest.fixture
def kept(headgate, wait_until, fresh) -> Callable[..., list[dict[str, Any]]]:
    """The events whose name or property `id` is this test's own, once the sink has so many."""

    def mine() -> list[dict[str, Any]]:
        return [
            event for event in headgate.written() if fresh in (event["name"], event.get("properties", {}).get("id"))
        ]

    def wait(count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(mine()) >= count, f"the sink has {count} events")
        return mine()

    return wait


@apis
@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_an_integer_of_64_bits_reaches_the_sink_exactly(api, sender, fresh, kept, number):
    body = json.loads(json.dumps(api.one("@")).replace('"mark": "@"', f'"mark": {number}, "id": "{fresh}"'))
    assert sender(api).post(body).status_code == 200
    (event,) = kept(1)
    assert event["properties"]["mark"] == number


@pytest.mark.parametrize(("api", "field"), [(APIS[2], "timestamp"), (APIS[3], "occurredAt")], ids=["3", "4"])
def test_a_time_a_day_ahead_is_kept_beside_and_the_receive_time_stands(api, field, sender, fresh, kept):
    event = api.one("a")
    event["properties"]["id"] = fresh
    assert sender(api).post(event | {field: "2999-01-01T00:00:00Z"}).status_code == 200
    (event,) = kept(1)
    assert event["clientTime"] == "2999-01-01T00:00:00Z"
    assert event["occurTime"] == event["receiveTime"] < "2999"


@pytest.mark.parametrize(("api", "member"), [(APIS[1], "pkey"), (APIS[2], "apiKey")], ids=["2", "3"])
def test_a_beacon_with_a_test_key_in_its_body_is_marked_as_test(api, member, sender, headgate, fresh, kept):
    events = [XAIKU_EVENT | {"eventName": fresh}] if api.name == "xaiku" else [api.one("a") | {"event": fresh}]
    body = {"events": events, member: headgate.keys["test"]}
    says(sender(api).post(body, key="", **{"Content-Type": "text/plain;charset=UTF-8"}), 200, api.ok(1))
    (event,) = kept(1)
    assert event["test"]


def test_ten_thousand_events_are_the_most_of_a_request(sender, client, fresh, kept):
    sends = sender(APIS[0])
    answer = sends.post({"events": [{"type": fresh}] * 10_000})
    says(answer, 200, {"success": True, "received": 10_000})
    found = client.get(f"/v1/receipts/{answer.headers['headgate-receipt']}").json()
    assert (found["received"], found["accepted"]) == (10_000, 10_000)
    says(sends.post({"events": [{"type": fresh}] * 10_001}), 413, APIS[0].too_large)
    events = kept(10_000)
    assert len({event["eventId"] for event in events}) == len(events) == 10_000


@apis
def test_a_trailing_slash_is_the_same_route(api, sender):
    with_slash = replace(api, path=api.path.rstrip("/") + "/")
    says(sender(with_slash).post(api.one("a")), 200, api.ok(1))


@contextmanager
def frozen(headgate, process: str) -> Iterator[None]:
    pid = headgate.pid(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@apis
def test_a_receipt_follows_its_events_until_they_are_delivered(api, sender, headgate, client, wait_until):
    sends = sender(api)
    with frozen(headgate, "forwarder"):
        receipt = sends.post(api.one("a")).headers["headgate-receipt"]
        found = client.get(f"/v1/receipts/{receipt}").json()
    assert {key: found[key] for key in ("received", "accepted", "duplicate", "dropped", "refused")} == {
        "received": 1,
        "accepted": 1,
        "duplicate": 0,
        "dropped": 0,
        "refused": 0,
    }
    assert found["durable"]
    # Who only holds the receipt sees counts, and no sink's name.
    assert found["sinks"] == [{"pending": 1, "delivered": 0, "filtered": 0, "dead": 0}]

    def delivered() -> bool:
        (sink,) = client.get(f"/v1/receipts/{receipt}").json()["sinks"]
        return sink == {"pending": 0, "delivered": 1, "filtered": 0, "dead": 0}

    wait_until(delivered, "the receipt says that the event is delivered")
    key = sends.key if api.kind == "organisation" else ""
    if key:
        (sink,) = client.get(f"/v1/receipts/{receipt}", headers={"X-API-Key": key}).json()["sinks"]
        assert sink["sink"] == "jsonl"


def test_a_receipt_counts_what_was_refused_beside_the_rest_and_what_came_twice(sender, client, fresh):
    partial = sender(APIS[1]).post({"events": [XAIKU_EVENT, {}, XAIKU_EVENT]})
    details = _missing("eventName", "experimentId", "sessionId")
    expected = {"success": True, "received": 2, "rejected": 1, "details": [{**one, "index": 1} for one in details]}
    says(partial, 200, expected)
    found = client.get(f"/v1/receipts/{partial.headers['headgate-receipt']}").json()
    assert (found["received"], found["accepted"], found["refused"]) == (3, 2, 1)

    sends = sender(APIS[3])
    first, again = (sends.post(APIS[3].one(mark) | {"eventId": fresh}) for mark in ("a", "b"))
    assert first.json() == again.json()
    found = client.get(f"/v1/receipts/{again.headers['headgate-receipt']}").json()
    assert (found["received"], found["accepted"], found["duplicate"]) == (1, 0, 1)


def test_every_element_of_a_codcompass_batch_is_in_the_books(sender, client, fresh, kept):
    elements = [{"type": fresh}, 1, None, {"type": fresh, "payload": {"text": "x" * 40_000}}]
    answer = sender(APIS[0]).post({"events": elements})
    says(answer, 200, {"success": True, "received": 2})
    found = client.get(f"/v1/receipts/{answer.headers['headgate-receipt']}").json()
    assert (found["received"], found["accepted"], found["refused"]) == (4, 2, 2)
    texts = [event.get("properties") for event in kept(2)]
    assert texts == [None, {"text": "x" * 32 * 1024, "$truncated": True}]


def test_a_receipt_that_nobody_made_is_not_found(client):
    answer = client.get("/v1/receipts/rcpt_AAAA")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_frozen_redis_is_a_503_of_each_api_and_nobody_waits_long(sender, headgate, wait_until):
    senders = [sender(api) for api in APIS]
    with frozen(headgate, "redis"), ThreadPoolExecutor() as threads:
        asked = [threads.submit(sends.post, sends.api.one("a")) for sends in senders]
        for sends, answer in zip(senders, asked, strict=True):
            says(answer.result(timeout=10), 503, sends.api.unavailable)
            assert int(answer.result().headers["retry-after"]) >= 1
        # A fault of the client's own needs no Redis to be told.
        says(senders[2].post(b"{"), *APIS[2].not_json)
    wait_until(lambda: senders[2].post(APIS[2].one("b")).status_code == 200, "events are taken again")
