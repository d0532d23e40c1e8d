import httpx
import pytest
from headgate.v1 import ingest_service_pb2, outcome_pb2

ORIGIN = {"Origin": "https://shop.example"}
ROUTES = ["/", "/api/analytics", "/api/v1/analytics", "/api/v1/analytics/events", "/api/v1/experiments", "/plain"]


def split(value: str) -> set[str]:
    return {name.strip() for name in value.split(",")}


@pytest.mark.parametrize("path", ROUTES)
async def test_preflight_allows_any_origin_without_a_key(http, gateway, path):
    answer = await http.options(
        path,
        headers={
            **ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-public-key,X-Experiment-IDs,traceparent,sentry-trace,a b",
        },
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in split(answer.headers["vary"])
    assert split(answer.headers["access-control-allow-methods"]) == {"GET", "POST"}
    assert split(answer.headers["access-control-allow-headers"]) == {
        "content-type",
        "x-public-key",
        "X-Experiment-IDs",
        "traceparent",
        "sentry-trace",
    }
    assert int(answer.headers["access-control-max-age"]) > 0
    assert not gateway.client.requests


async def test_every_header_of_the_table_may_be_asked_for(http):
    names = (
        "Content-Type, Content-Encoding, Accept, X-public-key, X-API-Key, Idempotency-Key, X-experiment-ids, "
        "X-xaiku-test, Headgate-Dry-Run"
    )
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names.lower()}
    answer = await http.options("/", headers={**ORIGIN, **asked})
    assert split(answer.headers["access-control-allow-headers"]) == split(names.lower())
    answer = await http.options("/", headers={**ORIGIN, "Access-Control-Request-Method": "POST"})
    assert split(answer.headers["access-control-allow-headers"]) == split(names)


async def test_options_without_an_origin_names_the_methods(http):
    answer = await http.options("/")
    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"events":[{"name":"a"}]}', {"x-key": "k"}, 200),
        (b"{", {"x-key": "k"}, 400),
        (b"{}", {}, 401),
        (b"x" * 1001, {"x-key": "k"}, 413),
        (b"{}", {"x-key": "k", "Content-Type": "image/png"}, 415),
        (b'"explode"', {"x-key": "k"}, 503),
    ],
)
async def test_every_answer_can_be_read_by_a_page_of_another_origin(http, body, headers, status):
    answer = await http.post("/plain", content=body, headers={**ORIGIN, **headers})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    assert split(answer.headers["access-control-expose-headers"]) == {
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "Headgate-Receipt",
        "Headgate-Warnings",
        "X-Should-Retry",
    }


async def test_an_api_that_knows_people_by_cookie_shows_no_other_origin_what_it_answers_them(http):
    answer = await http.post("/api/analytics", content=b'{"events":[]}', headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_origin_is_not_echoed_blindly(gateway):
    answer = await gateway.raw(
        b"POST /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: \xe9\xff\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"access-control-allow-origin" not in answer.lower()


class TestExperiments:
    async def test_a_good_key_gets_the_experiments(self, http, gateway):
        answer = await http.get("/api/v1/experiments", headers={**ORIGIN, "X-public-key": "pk_live_x"})
        assert (answer.status_code, answer.json()) == (200, {"experiments": {}})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        (request,) = gateway.client.requests
        assert (request.credential, len(request.entry.events)) == ("pk_live_x", 0)

    @pytest.mark.parametrize("headers", [{}, {"X-public-key": "sk_live_x"}])
    async def test_no_public_key(self, http, headers):
        answer = await http.get("/api/v1/experiments", headers={**ORIGIN, **headers})
        assert (answer.status_code, answer.json()) == (401, {"error": "Missing or malformed public key"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"

    async def test_a_key_that_the_service_does_not_know(self, http, gateway):
        refusal = outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_CREDENTIAL_INVALID)
        gateway.client.judge = lambda request: ingest_service_pb2.GatheredAnswer(refusal=refusal)
        answer = await http.get("/api/v1/experiments", headers={"X-public-key": "pk_live_x"})
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid public key"})

    async def test_other_methods(self, http):
        answer = await http.post("/api/v1/experiments")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert isinstance(answer, httpx.Response)
