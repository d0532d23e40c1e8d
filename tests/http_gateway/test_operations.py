"""Receipts, probes, metrics and the OpenAPI document."""

import gzip
import re

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from headgate.v1 import ingest_service_pb2, receipt_service_pb2
from headgate_gateway.ingest.client import GatheredIngestClient, Gathering
from openapi_spec_validator import validate

SERVING, DOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ("headgate.v1.IngestService", "redis", "counters", "control-db")


@pytest.fixture
async def served(start_gateway, service):
    gateway = await start_gateway(service_address=service.address)
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        yield client


class TestReceipts:
    @pytest.fixture(autouse=True)
    def stored(self, service):
        service.receipts["r1"] = receipt_service_pb2.GetReceiptResponse(
            receipt="r1",
            received=6,
            accepted=3,
            duplicate=1,
            refused=2,
            durable=True,
            receive_time=Timestamp(seconds=1_770_000_000, nanos=5_000_000),
            sinks=[
                receipt_service_pb2.SinkProgress(sink="jsonl", delivered=3),
                receipt_service_pb2.SinkProgress(pending=2, dead=1),
            ],
        )

    @pytest.mark.parametrize("path", ["/v1/receipts/r1", "/v1/receipts/r1/"])
    async def test_found(self, served, path):
        answer = await served.get(path, headers={"Origin": "https://a.example"})
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "receipt": "r1",
                "received": 6,
                "accepted": 3,
                "duplicate": 1,
                "dropped": 0,
                "refused": 2,
                "durable": True,
                "receivedAt": "2026-02-02T02:40:00.005Z",
                "sinks": [
                    {"sink": "jsonl", "pending": 0, "delivered": 3, "filtered": 0, "dead": 0},
                    {"pending": 2, "delivered": 0, "filtered": 0, "dead": 1},
                ],
            },
        )
        assert answer.headers["access-control-allow-origin"] == "https://a.example"

    @pytest.mark.parametrize(
        ("headers", "passed_on"),
        [
            ({}, None),
            ({"X-API-Key": "sk_live_x"}, "Bearer sk_live_x"),
            ({"Authorization": "bearer sk_live_y"}, "Bearer sk_live_y"),
            ({"Authorization": "Basic eA=="}, None),
            ({"X-API-Key": b"\xe9"}, None),
        ],
    )
    async def test_a_key_is_passed_on(self, served, service, headers, passed_on):
        assert (await served.get("/v1/receipts/r1", headers=headers)).status_code == 200
        assert service.receipt_metadata[0].get("authorization") == passed_on

    @pytest.mark.parametrize("name", ["r2", "x" * 500, "%C3%A9", "%00"])
    async def test_not_found(self, served, name):
        answer = await served.get(f"/v1/receipts/{name}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"
        assert answer.json()["error"]["requestId"]

    @pytest.mark.parametrize(
        ("code", "status"),
        [(StatusCode.UNAVAILABLE, 503), (StatusCode.UNAUTHENTICATED, 401), (StatusCode.PERMISSION_DENIED, 403)],
    )
    async def test_refusals(self, served, service, code, status):
        service.fail_with = code
        answer = await served.get("/v1/receipts/r1")
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) is (status == 503)

    async def test_other_methods(self, served):
        answer = await served.post("/v1/receipts/r1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert answer.json()["error"]["code"] == "method_not_allowed"


class TestProbes:
    async def test_alive_without_a_service(self, http):
        assert (await http.get("/livez")).status_code == 200
        assert (await http.head("/livez")).status_code == 200

    async def test_ready(self, served, service):
        for name in NAMES:
            await service.health.set(name, SERVING)
        answer = await served.get("/readyz")
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "ok", "dependencies": {"service": "ok", "redis": "ok", "counters": "ok", "control-db": "ok"}},
        )

    async def test_says_which_is_down(self, served, service):
        for name, state in zip(NAMES, (DOWN, SERVING, DOWN, SERVING), strict=True):
            await service.health.set(name, state)
        answer = await served.get("/readyz")
        assert (answer.status_code, answer.json()["dependencies"]) == (
            503,
            {"service": "down", "redis": "ok", "counters": "down", "control-db": "ok"},
        )
        assert answer.headers["retry-after"]

    async def test_a_service_of_another_revision_is_named(self, start_gateway, service):
        for name in NAMES:
            await service.health.set(name, SERVING)
        service.fail_with = StatusCode.FAILED_PRECONDITION
        async with grpc.aio.insecure_channel(service.address) as channel:
            client = GatheredIngestClient(channel, "t", Gathering(), lambda size: None)
            gateway = await start_gateway(service_address=service.address, client=client)
            async with httpx.AsyncClient(base_url=gateway.url) as http:
                answer = await http.get("/readyz")
                stored = await http.post("/plain", content=b'{"events":[{"name":"a"}]}', headers={"x-key": "k"})
        assert (answer.status_code, answer.json()["dependencies"]["service"]) == (503, "as the test wishes")
        assert (stored.status_code, stored.headers["retry-after"]) == (503, "1")

    async def test_no_service(self, start_gateway):
        gateway = await start_gateway(service_address="127.0.0.1:1", probe_seconds=0.2)
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["dependencies"]) == (
            503,
            {"service": "down", "redis": "unknown", "counters": "unknown", "control-db": "unknown"},
        )


async def test_metrics_count_requests_events_and_refusals(http):
    key = {"x-key": "k"}
    await http.post("/plain", content=b'{"events":[{"name":"a"},{"name":"b"},{}]}', headers=key)
    await http.post("/plain", content=b"{", headers=key)
    text = (await http.get("/metrics")).text
    for line in (
        'headgate_gateway_requests_total{dialect="plain",status="200"} 1.0',
        'headgate_gateway_requests_total{dialect="plain",status="400"} 1.0',
        'headgate_gateway_events_total{dialect="plain",outcome="accepted"} 2.0',
        'headgate_gateway_events_total{dialect="plain",outcome="refused"} 1.0',
        'headgate_gateway_refusals_total{cause="not_json",dialect="plain"} 1.0',
        'headgate_gateway_request_seconds_count{dialect="plain"} 2.0',
        "headgate_gateway_in_flight_requests 0.0",
        "# TYPE headgate_gateway_gathered_requests histogram",
    ):
        assert line in text


async def test_metrics_count_a_batch_once_and_no_dry_run(gateway, http):
    answers = {}

    def judge(request):
        response = ingest_service_pb2.IngestEventsResponse(receipt="r", replayed=request.idempotency_key in answers)
        answers[request.idempotency_key] = response
        return ingest_service_pb2.GatheredAnswer(response=response)

    gateway.client.judge = judge
    batch = b'{"events":[{"name":"a"},{"name":"b"},{"name":"c"}]}'
    for headers in ({"idempotency-key": "1"}, {"idempotency-key": "1"}, {"headgate-dry-run": "1"}):
        assert (await http.post("/plain", content=batch, headers={"x-key": "k", **headers})).status_code == 200
    text = (await http.get("/metrics")).text
    assert 'headgate_gateway_events_total{dialect="plain",outcome="accepted"} 3.0' in text


class TestOpenApi:
    @pytest.fixture
    async def document(self, http):
        return (await http.get("/openapi.json")).json()

    async def test_it_is_valid_and_covers_every_route(self, document):
        validate(document)
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]) >= {
            "/",
            "/api/analytics",
            "/api/v1/analytics",
            "/api/v1/analytics/events",
            "/api/v1/experiments",
            "/v1/receipts/{receipt}",
            "/livez",
            "/readyz",
            "/metrics",
            "/openapi.json",
        }

    async def test_what_a_field_may_hold_is_in_its_schema(self, document):
        def body(path, method):
            content = document["paths"][path][method]["requestBody"]["content"]
            return content["application/json"]["schema"]["properties"]

        made = body("/api/projects", "post")
        assert (made["name"]["minLength"], made["name"]["maxLength"]) == (1, 100)
        assert [bool(re.search(made["slug"]["pattern"], slug)) for slug in ("a-1", "a", "-a", "a-", "A")] == [
            True,
            True,
            False,
            False,
            False,
        ]
        kinds = body("/api/projects/{project}/keys", "post")["kind"]["enum"]
        assert kinds == ["public", "test", "secret", "organisation"]
        roles = body("/api/projects/{project}/members/{user}", "put")["role"]["enum"]
        assert roles == ["viewer", "member", "admin", "owner"]
        (by, *_) = document["paths"]["/api/projects/{project}/usage"]["get"]["parameters"][1:]
        assert (by["name"], by["schema"]["enum"]) == ("by", ["hour", "day"])

    async def test_no_bound_is_in_prose_alone(self, document):
        def told(part):
            if isinstance(part, dict):
                schema = part.get("schema", part)
                if "characters" in str(part.get("description", "")) and "type" in schema:
                    yield part
                for inner in part.values():
                    yield from told(inner)
            elif isinstance(part, list):
                for inner in part:
                    yield from told(inner)

        found = list(told(document["paths"]))
        assert found
        assert [part for part in found if "maxLength" not in part.get("schema", part)] == []

    async def test_every_ingestion_route_tells_of_the_shared_headers(self, document):
        for path in ("/", "/api/analytics", "/api/v1/analytics", "/api/v1/analytics/events", "/plain"):
            operation = document["paths"][path]["post"]
            names = {parameter["name"] for parameter in operation["parameters"] if "name" in parameter}
            assert names >= {"Idempotency-Key", "Headgate-Dry-Run", "Content-Encoding"}
            assert {"Headgate-Receipt", "RateLimit", "RateLimit-Policy"} <= set(
                operation["responses"]["200"]["headers"]
            )
            for status in {"429", "503"} & set(operation["responses"]):
                assert "Retry-After" in operation["responses"][status]["headers"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/analytics", 200),
        ("POST", "/api/v1/analytics", 401),
        ("PUT", "/", 405),
        ("OPTIONS", "/api/v1/analytics/events", 204),
        ("GET", "/api/projects", 503),
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nowhere", 404),
    ],
)
async def test_no_answer_may_be_read_as_another_type(gateway, http, method, path, status):
    answer = await http.request(method, path, content=b'{"events":[]}' if method == "POST" else None)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in answer.headers
    assert b"x-content-type-options: nosniff\r\n" in await gateway.raw(b"no request\r\n\r\n")


INGESTED = [
    ("/api/v1/analytics", "X-public-key", b'{"events":[{"eventName":"a","experimentId":"e","sessionId":"s"}]}'),
    ("/", "X-API-Key", b'{"event":"a","timestamp":"2026-01-01","distinctId":"d","sessionId":"s","properties":{}}'),
    ("/api/v1/analytics/events", "x-api-key", b'{"event":"page_visit","page":{"href":"https://a.example/"}}'),
]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize(("path", "name", "body"), INGESTED)
async def test_blanks_around_values_mean_nothing_on_any_route(gateway, path, name, body, encoding):
    data = gzip.compress(body) if encoding == "gzip" else body
    fields = f"{name}:pk_live_key \t \r\nContent-Type:\tapplication/json \r\nContent-Encoding: {encoding}\t\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: x \r\nConnection: close \r\nContent-Length: {len(data)} \r\n{fields}\r\n"
    assert (await gateway.raw(head.encode() + data)).startswith(b"HTTP/1.1 200 ")
    assert [request.credential for request in gateway.client.requests] == ["pk_live_key"]
