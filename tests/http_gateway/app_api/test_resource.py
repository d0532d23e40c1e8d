"""The app API's translation, in front of a service that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx
import orjson
import pytest
from google.protobuf.any_pb2 import Any as AnyDetail
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import event_pb2, project_delivery_service_pb2_grpc, project_service_pb2_grpc
from headgate.v1 import project_delivery_service_pb2 as delivery
from headgate.v1 import project_service_pb2 as wire
from headgate_gateway.app_api.caller import STATUSES
from headgate_gateway.app_api.routes import OPERATIONS


class FakeProjects(
    project_service_pb2_grpc.ProjectServiceServicer,
    project_delivery_service_pb2_grpc.ProjectDeliveryServiceServicer,
):
    """Keeps what it was asked; `refusal` is how it ends every call, where there is one."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.metadata: dict[str, str] = {}
        self.refusal: status_pb2.Status | None = None
        self.watched = asyncio.Event()
        self.left = asyncio.Event()

    async def _take(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.asked.append(request)
        self.metadata = dict(context.invocation_metadata())
        if self.refusal is not None:
            await context.abort_with_status(rpc_status.to_status(self.refusal))

    async def CreateProject(self, request, context):  # noqa: N802
        await self._take(request, context)
        made = admin.Project(id="prj_1", slug=request.slug, name=request.name, time_zone="UTC", role=4)
        keys = [admin.NewKey(id="key_1", kind=admin.KEY_KIND_SECRET, key="sk_live_x")]
        return wire.ProjectServiceCreateProjectResponse(project=made, keys=keys)

    async def RevokeKey(self, request, context):  # noqa: N802
        await self._take(request, context)
        return wire.RevokeKeyResponse()

    async def ListAudit(self, request, context):  # noqa: N802
        await self._take(request, context)
        return wire.ListAuditResponse()

    async def TailProjectEvents(self, request, context):  # noqa: N802
        await self._take(request, context)
        try:
            yield delivery.TailProjectEventsResponse()
            for number in range(request.last):
                event = event_pb2.Event(name=f"e{number}", properties_json=b'{"n":9007199254740993}')
                yield delivery.TailProjectEventsResponse(event=event)
            if not request.no_follow:
                self.watched.set()
                await asyncio.sleep(60)
        finally:
            self.left.set()


@pytest.fixture
async def service() -> AsyncIterator[tuple[FakeProjects, str]]:
    fake, server = FakeProjects(), grpc.aio.server()
    project_service_pb2_grpc.add_ProjectServiceServicer_to_server(fake, server)
    project_delivery_service_pb2_grpc.add_ProjectDeliveryServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield fake, f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
def fake(service: tuple[FakeProjects, str]) -> FakeProjects:
    return service[0]


@pytest.fixture
async def client(
    service: tuple[FakeProjects, str], start_gateway: Callable[..., Awaitable[Any]]
) -> AsyncIterator[httpx.AsyncClient]:
    gateway = await start_gateway(service_address=service[1])
    async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer hgc_x"}) as client:
        yield client


async def test_a_request_is_translated_there_and_back(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    answer = await client.post("/api/projects", json={"name": "Shop", "slug": "shop"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["project"]["slug"], body["project"]["role"]) == ("shop", "owner")
    assert body["keys"] == {"secret": "sk_live_x"}
    assert fake.asked == [wire.ProjectServiceCreateProjectRequest(name="Shop", slug="shop")]
    assert fake.metadata["authorization"] == "Bearer hgc_x"
    assert fake.metadata["headgate-client-address"] == "127.0.0.1"
    assert fake.metadata["headgate-gateway-token"]
    assert fake.metadata["headgate-request-id"].startswith("id-")


async def test_parts_of_a_path_and_its_query(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    assert (await client.delete("/api/projects/shop/keys/key_1")).json() == {"revoked": True}
    await client.delete("/api/keys/key_2/")
    await client.get("/api/projects/shop/audit", params={"limit": 5})
    assert fake.asked == [
        wire.RevokeKeyRequest(project="shop", id="key_1"),
        wire.RevokeKeyRequest(id="key_2"),
        wire.ListAuditRequest(project="shop", limit=5),
    ]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b'{"name": 1}', {}, 400, "invalid_argument"),
        (b'{"nmae": "x"}', {}, 400, "invalid_argument"),
        (b'{"name": "x"', {}, 400, "bad_request"),
        (b'{"name": "x", "name": "y"}', {}, 400, "bad_request"),
        (b"[]", {}, 400, "invalid_argument"),
        (b"", {}, 400, "invalid_argument"),
        (b"<x/>", {"Content-Type": "application/xml"}, 415, "unsupported_media_type"),
        (b"x", {"Content-Encoding": "zip"}, 415, "unsupported_media_type"),
        (b'{"name": "' + b"x" * 1_048_576 + b'"}', {}, 413, "payload_too_large"),
    ],
)
async def test_a_body_that_cannot_be_taken(
    client: httpx.AsyncClient, fake: FakeProjects, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await client.post(
        "/api/projects", content=content, headers={"Content-Type": "application/json", **headers}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["requestId"]
    assert fake.asked == []


async def test_a_query_that_cannot_be_taken(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    for query in ("limit=0", "limit=x", "limit=5&limit=6", "colour=red", "before=99999999999999999999"):
        answer = await client.get(f"/api/projects/shop/audit?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"] == query.partition("=")[0]
    assert fake.asked == []


@pytest.mark.parametrize(("code", "expected"), [(code, status) for code, (status, _) in STATUSES.items()])
async def test_a_status_of_the_service_is_one_of_http(
    client: httpx.AsyncClient, fake: FakeProjects, code: grpc.StatusCode, expected: int
) -> None:
    fake.refusal = _status(code.value[0], "no", error_details_pb2.ErrorInfo(reason="a_reason", domain="headgate"))
    answer = await client.get("/api/projects/shop/audit")
    assert answer.status_code == expected
    assert answer.json()["error"]["code"] == "a_reason"
    assert ("retry-after" in answer.headers) == (expected in (429, 503))


async def test_details_of_a_refusal_are_told(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="slug", description="is odd")
    wait = error_details_pb2.RetryInfo()
    wait.retry_delay.FromMilliseconds(6_500)
    fake.refusal = _status(
        code_pb2.RESOURCE_EXHAUSTED, "slug: is odd", error_details_pb2.BadRequest(field_violations=[violation]), wait
    )
    answer = await client.get("/api/projects/shop/audit")
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["message"] == "slug: is odd"
    assert answer.json()["error"]["details"] == [{"field": "slug", "message": "is odd"}]


async def test_a_defect_of_the_service_tells_nothing(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    fake.refusal = _status(code_pb2.INTERNAL, "Traceback: secret")
    answer = await client.get("/api/projects/shop/audit")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


async def test_without_a_service_it_is_503(start_gateway: Callable[..., Awaitable[Any]]) -> None:
    gateway = await start_gateway()
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        answer = await client.get("/api/projects")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


OWN, OTHER = "http://app.example", "http://other.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": OTHER}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[x"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": OTHER}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, 403),
        ({"Origin": OWN}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": OWN}, 200),
    ],
)
async def test_a_change_by_cookie_must_come_from_this_site(
    client: httpx.AsyncClient, fake: FakeProjects, headers: dict[str, str], status: int
) -> None:
    own = {"Host": "app.example", "Authorization": "", "Cookie": "a=b; better-auth.session_token=hgs_x", **headers}
    assert (await client.delete("/api/keys/key_1", headers=own)).status_code == status
    assert len(fake.asked) == (status == 200)
    if fake.asked:
        assert fake.metadata["authorization"] == "Bearer hgs_x"
    # To look changes nothing, and a bearer is no cookie that a browser adds by itself.
    assert (await client.get("/api/projects/p/audit", headers=own)).status_code == 200
    bearer = {**own, "Authorization": "Bearer hgc_x"}
    assert (await client.delete("/api/keys/key_1", headers=bearer)).status_code == 200


async def test_other_sites_may_read_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/projects/p/audit", headers={"Origin": OTHER})
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert (await client.options("/api/projects", headers={"Origin": OTHER})).status_code == 405


async def test_a_tail_is_lines_of_json(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    answer = await client.get("/api/projects/p/events", params={"last": 2, "follow": "false"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [orjson.loads(line) for line in answer.content.splitlines() if line]
    assert [line["name"] for line in lines] == ["e0", "e1"]
    assert lines[0]["properties"] == {"n": 9007199254740993}
    assert fake.asked == [delivery.TailProjectEventsRequest(project="p", last=2, no_follow=True)]


async def test_a_tail_is_server_sent_events_where_these_are_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/api/projects/p/events", params={"last": 1, "follow": "false"}, headers={"Accept": "text/event-stream"}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    comment, event, rest = answer.text.split("\n\n")
    assert (comment, event[:6], rest) == (":", "data: ", "")
    assert orjson.loads(event[6:])["name"] == "e0"


async def test_who_hangs_up_is_watched_for_no_longer(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    async with client.stream("GET", "/api/projects/p/events") as answer:
        assert answer.status_code == 200
        await asyncio.wait_for(fake.watched.wait(), 10)
    await asyncio.wait_for(fake.left.wait(), 10)


async def test_a_refused_tail_is_refused_with_its_status(client: httpx.AsyncClient, fake: FakeProjects) -> None:
    fake.refusal = _status(code_pb2.NOT_FOUND, "no project p")
    answer = await client.get("/api/projects/p/events")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "no project p")


async def test_every_operation_is_in_the_openapi_document(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    documented = [paths[operation.path][operation.method.lower()]["operationId"] for operation in OPERATIONS]
    assert len(set(documented)) == len(OPERATIONS)


def _status(code: int, message: str, *details: Any) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        packed = AnyDetail()
        packed.Pack(detail)
        status.details.append(packed)
    return status
