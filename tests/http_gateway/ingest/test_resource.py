import hashlib

import httpx
import orjson
import pytest
from google.protobuf.duration_pb2 import Duration
from headgate.v1 import ingest_service_pb2, outcome_pb2
from headgate_gateway.ingest.client import RequestTooLarge, ServiceUnavailable

KEY = {"x-key": "k"}
ONE = b'{"events":[{"name":"a"}]}'


def refusing(cause, **fields):
    limits = fields.pop("limits", None)
    refusal = outcome_pb2.Refusal(cause=cause, **fields)
    return lambda request: ingest_service_pb2.GatheredAnswer(refusal=refusal, limits=limits)


def raising(error):
    def judge(request):
        raise error

    return judge


async def test_a_request_reaches_the_service_and_its_answer_the_client(gateway, http):
    answer = await http.post("/plain", content=ONE, headers={**KEY, "Origin": "https://shop.example"})
    assert (answer.status_code, answer.json()) == (200, {"received": 1})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["headgate-receipt"] == "r1"
    (request,) = gateway.client.requests
    assert request.access == gateway.plain.api.access
    assert (request.credential, request.origin, request.client_address) == ("k", "https://shop.example", "127.0.0.1")
    assert [event.name for event in request.entry.events] == ["a"]
    assert not request.idempotency_key
    assert not request.dry_run


async def test_the_refused_part_of_a_request_travels_with_the_rest(gateway, http):
    answer = await http.post("/plain", content=b'{"events":[{"name":"a"},{},{}]}', headers=KEY)
    assert answer.status_code == 200
    (request,) = gateway.client.requests
    assert (len(request.entry.events), request.refused, request.refused_reason) == (1, 2, outcome_pb2.REASON_INVALID)


async def test_limits_are_told_on_success(gateway, http, accepting):
    def judge(request):
        answer = accepting(request)
        answer.response.limits.rate.CopyFrom(
            outcome_pb2.Window(limit=1000, used=1, length=Duration(seconds=60), reset=Duration(seconds=59, nanos=1))
        )
        answer.response.limits.month.CopyFrom(
            outcome_pb2.Window(limit=10, used=12, length=Duration(seconds=2592000), reset=Duration(seconds=100))
        )
        return answer

    gateway.client.judge = judge
    answer = await http.post("/plain", content=ONE, headers=KEY)
    assert answer.headers["ratelimit-policy"] == '"burst";q=1000;w=60, "month";q=10;qu="events";w=2592000'
    assert answer.headers["ratelimit"] == '"burst";r=999;t=60, "month";r=0;t=100'


async def test_no_rate_headers_where_no_limit_applies(http):
    answer = await http.post("/plain", content=ONE, headers=KEY)
    assert "ratelimit" not in answer.headers
    assert "ratelimit-policy" not in answer.headers


async def test_a_refusal_bears_limits_and_retry_after(gateway, http):
    gateway.client.judge = refusing(
        outcome_pb2.CAUSE_RATE_LIMITED,
        retry_after=Duration(seconds=41, nanos=5),
        limits=outcome_pb2.LimitState(
            rate=outcome_pb2.Window(limit=5, used=5, length=Duration(seconds=60), reset=Duration(seconds=42))
        ),
    )
    answer = await http.post("/plain", content=ONE, headers=KEY)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "42"
    assert answer.headers["ratelimit"] == '"burst";r=0;t=42'
    assert "headgate-receipt" not in answer.headers


async def test_a_full_month_is_not_to_be_retried(gateway, http):
    gateway.client.judge = refusing(outcome_pb2.CAUSE_QUOTA_EXCEEDED, retry_after=Duration(seconds=170_000))
    for path, headers in (("/api/v1/analytics/events", {"x-api-key": "org_live_x"}), ("/", {"x-api-key": "pk_live_x"})):
        event = {"event": "page_visit", "page": {"href": "https://a.example/"}} | (
            {} if path != "/" else {"timestamp": "2026-02-03", "distinctId": "d", "sessionId": "s", "properties": {}}
        )
        answer = await http.post(path, json=event, headers=headers)
        assert answer.status_code == 429
        assert "retry-after" not in answer.headers
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("refusal", [refusing(outcome_pb2.CAUSE_UNAVAILABLE), raising(ServiceUnavailable("down"))])
async def test_an_outage_is_not_confirmed_and_to_be_retried(gateway, http, refusal):
    gateway.client.judge = refusal
    answer = await http.post("/plain", content=ONE, headers=KEY)
    assert (answer.status_code, answer.json()) == (503, {"cause": "CAUSE_UNAVAILABLE"})
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_request_too_large_for_a_call_is_too_large(gateway, http):
    gateway.client.judge = raising(RequestTooLarge("33 MiB"))
    assert (await http.post("/plain", content=ONE, headers=KEY)).status_code == 413


async def test_a_missing_credential_is_refused_without_the_service(gateway, http):
    assert (await http.post("/plain", content=ONE)).status_code == 401
    assert not gateway.client.requests


@pytest.mark.parametrize(
    ("body", "status", "refused"), [(b"{", 400, 0), (b'{"events":[{},{}]}', 422, 2)], ids=["not JSON", "invalid"]
)
class TestUnparsable:
    async def test_it_is_counted_and_answered_in_the_dialects_words(self, gateway, http, body, status, refused):
        answer = await http.post("/plain", content=body, headers=KEY)
        assert answer.status_code == status
        (request,) = gateway.client.requests
        assert (request.credential, len(request.entry.events), request.refused) == ("k", 0, refused)

    async def test_who_may_not_enter_hears_that_first(self, gateway, http, body, status, refused):
        gateway.client.judge = refusing(outcome_pb2.CAUSE_CREDENTIAL_INVALID)
        assert (await http.post("/plain", content=body, headers=KEY)).status_code == 401

    @pytest.mark.parametrize("judge", [refusing(outcome_pb2.CAUSE_UNAVAILABLE), raising(ServiceUnavailable("down"))])
    async def test_an_outage_does_not_hide_the_clients_fault(self, gateway, http, body, status, refused, judge):
        gateway.client.judge = judge
        assert (await http.post("/plain", content=body, headers=KEY)).status_code == status


async def test_an_idempotency_key_goes_with_the_hash_of_the_decoded_body(gateway, http):
    await http.post("/plain", content=ONE, headers={**KEY, "Idempotency-Key": "order-1"})
    (request,) = gateway.client.requests
    assert request.idempotency_key == "order-1"
    assert request.body_hash == hashlib.sha256(ONE).digest()


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"], ids=["empty", "space", "long", "not ASCII"])
async def test_what_is_no_idempotency_key_is_refused(gateway, http, key):
    answer = await http.post("/plain", content=ONE, headers={**KEY, "Idempotency-Key": key.encode("latin-1")})
    assert answer.status_code == 422
    assert answer.json()["faults"][0][1] == "Idempotency-Key"
    (request,) = gateway.client.requests
    assert (request.credential, request.refused, len(request.entry.events)) == ("k", 1, 0)


async def test_a_dry_run_shows_events_quota_and_sinks(gateway, http, accepting):
    def judge(request):
        answer = accepting(request)
        event = answer.dry_run_events.add(name="a", properties_json=b'{"n":18446744073709551615}')
        event.occur_time.FromSeconds(0)
        answer.dry_run_sinks.append("jsonl")
        return answer

    gateway.client.judge = judge
    headers = {**KEY, "Headgate-Dry-Run": "1", "Idempotency-Key": "not read"}
    answer = await http.post("/plain", content=ONE, headers=headers)
    assert orjson.loads(answer.content) == {
        "received": 1,
        "dryRun": {
            "events": [{"name": "a", "occurTime": "1970-01-01T00:00:00Z", "properties": {"n": 18446744073709551615}}],
            "quota": 1,
            "sinks": ["jsonl"],
        },
    }
    (request,) = gateway.client.requests
    assert request.dry_run
    assert not request.idempotency_key


async def test_a_dry_run_of_a_batch_costs_every_event_that_would_be_stored(gateway, http):
    def judge(request):
        # As the service answers batches: no results event by event, and duplicates are not shown.
        answer = ingest_service_pb2.GatheredAnswer(response=ingest_service_pb2.IngestEventsResponse())
        answer.dry_run_events.extend(request.entry.events[1:])
        return answer

    gateway.client.judge = judge
    batch = b'{"events":[{"name":"a"},{"name":"b"},{"name":"c"}]}'
    answer = await http.post("/plain", content=batch, headers={**KEY, "Headgate-Dry-Run": "1"})
    assert answer.json()["dryRun"] == {"events": [{"name": "b"}, {"name": "c"}], "quota": 2}


@pytest.mark.parametrize("body", [b"{", b'{"events":[{}]}'], ids=["not JSON", "invalid"])
async def test_the_service_hears_that_a_refused_request_was_a_dry_run(gateway, http, body):
    await http.post("/plain", content=body, headers={**KEY, "Headgate-Dry-Run": "1"})
    (request,) = gateway.client.requests
    assert request.dry_run


@pytest.mark.parametrize(("word", "dry"), [("1", True), ("TRUE", True), ("0", False), ("false", False), ("", False)])
async def test_words_for_a_dry_run(gateway, http, word, dry):
    answer = await http.post("/plain", content=ONE, headers={**KEY, "Headgate-Dry-Run": word})
    assert answer.status_code == 200
    assert ("dryRun" in answer.json()) is dry
    assert gateway.client.requests[0].dry_run is dry


async def test_an_unknown_word_for_a_dry_run_stores_nothing(gateway, http):
    answer = await http.post("/plain", content=ONE, headers={**KEY, "Headgate-Dry-Run": "yes"})
    assert answer.status_code == 422
    assert not gateway.client.requests[0].entry.events


async def test_a_defect_is_a_503_that_tells_nothing_and_logs_no_content(http, capfd):
    answer = await http.post("/plain", content=b'"explode"', headers=KEY)
    assert (answer.status_code, answer.json()) == (503, {"cause": "CAUSE_UNAVAILABLE"})
    assert answer.headers["retry-after"]
    logged = "".join(capfd.readouterr())
    assert "RuntimeError" in logged
    assert "secret" not in logged


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"])
async def test_other_methods_are_refused_in_the_dialects_words(http, method):
    answer = await http.request(method, "/plain", headers={"Origin": "https://a.example"})
    assert (answer.status_code, answer.json()["cause"]) == (405, "method")
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert answer.headers["access-control-allow-origin"] == "https://a.example"


@pytest.mark.parametrize("path", ["/", "/api/analytics", "/api/v1/analytics", "/api/v1/analytics/events"])
async def test_every_documented_route_refuses_get_and_head(http, path):
    answer = await http.get(path)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method not allowed"} or answer.json()["code"] == "method_not_allowed"
    head = await http.head(path)
    assert (head.status_code, head.content) == (405, b"")


async def test_a_trailing_slash_is_the_same_route(http):
    assert (await http.post("/plain/", content=ONE, headers=KEY)).status_code == 200
    assert (await http.post("/api/analytics/", content=b'{"events":[]}')).json() == {"success": True, "received": 0}


async def test_an_unknown_path_is_a_json_404(http):
    answer = await http.post("/nothing/here", content=ONE)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.json()["error"]["requestId"] == "id-1"


async def test_a_proxys_word_counts_only_where_it_is_trusted(start_gateway):
    forwarded = {**KEY, "X-Forwarded-For": "203.0.113.9, 10.0.0.1"}
    for proxies, address in (((), "127.0.0.1"), (("127.0.0.0/8", "10.0.0.0/8"), "203.0.113.9")):
        gateway = await start_gateway(proxies=proxies)
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            await http.post("/plain", content=ONE, headers=forwarded)
        assert gateway.client.requests[0].client_address == address


async def test_what_a_policy_says_of_events_is_told_in_a_header_and_in_full_in_a_dry_run(gateway, http, accepting):
    def judge(request):
        answer = accepting(request)
        answer.response.warned = 1
        rows = answer.response.results
        rows.add(index=0, outcome=outcome_pb2.OUTCOME_DROPPED, reason=outcome_pb2.REASON_SAMPLED)
        rows.add(index=1, outcome=outcome_pb2.OUTCOME_REFUSED, field="properties.a", message="is required")
        rows.add(index=2, outcome=outcome_pb2.OUTCOME_ACCEPTED, warnings=["properties.b: is required"])
        return answer

    gateway.client.judge = judge
    # The first is not an event: the service never hears of it, and places are those of the request.
    events = b'{"events":[{},{"name":"a"},{"name":"b"},{"name":"c"}]}'
    answer = await http.post("/plain", content=events, headers=KEY)
    assert answer.headers["headgate-warnings"] == "1"
    assert "dryRun" not in answer.json()
    assert 'headgate_gateway_event_warnings_total{dialect="plain"} 1.0' in (await http.get("/metrics")).text
    report = (await http.post("/plain", content=events, headers={**KEY, "Headgate-Dry-Run": "1"})).json()["dryRun"]
    assert report["dropped"] == [{"index": 1, "reason": "sampled"}]
    assert report["refused"] == [{"index": 2, "field": "properties.a", "message": "is required"}]
    assert report["warnings"] == [{"index": 3, "messages": ["properties.b: is required"]}]


async def test_no_warnings_header_where_nothing_is_warned_of(http):
    assert "headgate-warnings" not in (await http.post("/plain", content=ONE, headers=KEY)).headers


async def test_replaced_surrogates_are_counted_and_told(gateway, http, accepting):
    def judge(request):
        answer = accepting(request)
        answer.response.warned = 2
        return answer

    body = b'{"events":[{"name":"a\\ud83c"},{"name":"\\ud83c\\udf89 \\\\ud83c"},{"name":"\\udf89\\uD83C"}]}'
    for headers in (KEY, {**KEY, "Headgate-Dry-Run": "1"}):
        answer = await http.post("/plain", content=body, headers=headers)
        assert answer.headers["headgate-warnings"] == "3"
    gateway.client.judge = judge
    assert (await http.post("/plain", content=body, headers=KEY)).headers["headgate-warnings"] == "5"
    gateway.client.judge = refusing(outcome_pb2.CAUSE_CREDENTIAL_INVALID)
    assert "headgate-warnings" not in (await http.post("/plain", content=body, headers=KEY)).headers
    counted = 'headgate_gateway_replaced_surrogates_total{dialect="plain"} 6.0'
    assert counted in (await http.get("/metrics")).text
    assert gateway.client.requests[0].entry.events[0].name == "a\ufffd"
