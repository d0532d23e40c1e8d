"""What a request costs the gateway, counted in calls of Python functions: a regression shows on any machine."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import grpc.aio
import orjson
import pytest
import uvicorn
from headgate.v1 import ingest_service_pb2
from headgate_dialects.host import built_in
from headgate_gateway.app import create_app
from headgate_gateway.app_api.streaming import Streams
from headgate_gateway.http.body import BodyLimits
from headgate_gateway.http.worker_thread import WorkerThread
from headgate_gateway.http_server.connection import Connections, HeadLimits, HttpConnection
from headgate_gateway.http_server.deferred_body import WHOLE_BODY
from headgate_gateway.metrics import Metrics
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

EVENT = {
    "event": "signup",
    "timestamp": "2026-02-03T15:30:00.000Z",
    "distinctId": "u-1",
    "sessionId": "s-1",
    "properties": {"plan": "pro", "amount": 12.5},
}
VIEW = {"type": "page_view", "payload": {"plan": "pro"}, "userId": "u-1"}
CLICK = {"eventName": "click", "experimentId": "e-1", "sessionId": "s-1", "pathname": "/landing"}


class TakesAll:
    """An IngestClient that answers at once, with limits and a receipt."""

    async def ingest(self, request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
        answer = ingest_service_pb2.GatheredAnswer()
        answer.response.receipt = "rcpt_x"
        answer.response.limits.rate.limit = 1000
        answer.response.limits.rate.length.seconds = 60
        return answer

    async def refused(self, seconds: float) -> str:
        return ""


async def calls_of(work: Callable[[], Awaitable[None]], within: tuple[str, ...] = ("",)) -> int:
    """Python functions entered, and coroutines resumed, while `work` runs for the second time: those of files whose
    paths hold one of `within`."""
    await work()
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and any(part in frame.f_code.co_filename for part in within)

    sys.setprofile(count)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("path", "headers", "body", "bound"),
    [
        ("/", [(b"x-api-key", b"pk_live_x")], EVENT, 64),
        ("/", [(b"x-api-key", b"pk_live_x")], [EVENT] * 100, 64 + 99),
        ("/api/v1/analytics", [(b"x-public-key", b"pk_live_x")], {"events": [CLICK] * 100}, 85 + 99 * 9),
        ("/api/analytics", [], {"events": [VIEW] * 100}, 64),
    ],
)
async def test_a_request_calls_few_functions(
    path: str, headers: list[tuple[bytes, bytes]], body: object, bound: int
) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        app = create_app(
            dialects=built_in(),
            client=TakesAll(),
            channel=channel,
            metrics=Metrics(),
            side=WorkerThread(),
            streams=Streams(),
            gateway_token="token",
            limits=BodyLimits(),
            trusted_proxies=(),
            receipt_seconds=1,
            probe_seconds=1,
            clock=time.monotonic,
            new_request_id=lambda: "r",
        )
        encoded = orjson.dumps(body)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"x"), (b"content-type", b"application/json"), *headers],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            WHOLE_BODY: True,
        }
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": encoded, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def request() -> None:
            await app(dict(scope), receive, send)

        calls = await asyncio.create_task(calls_of(request))
    assert statuses == [200, 200]
    assert calls <= bound
    # So that the bound is lowered where a change makes it loose.
    assert calls > bound * 0.75


class Sent(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


async def test_a_connection_calls_few_functions() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"{}"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    connection: Any = HttpConnection(
        limits=HeadLimits(),
        held=Connections(100, lambda: None),
        config=uvicorn.Config(app, lifespan="off", log_config=None, interface="asgi3", proxy_headers=False),
        server_state=ServerState(),
        app_state={},
    )
    connection.connection_made(transport := Sent())
    fields = b"".join(b"X-%d: some value\r\n" % number for number in range(8))
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n%s\r\n{}" % fields

    async def exchange() -> None:
        transport.written = b""
        connection.data_received(request)
        while not transport.written:
            await asyncio.sleep(0)
        assert transport.written.startswith(b"HTTP/1.1 200 OK\r\n")

    # Ten headers, of which each costs a call. The event loop's own calls are not counted.
    calls = await calls_of(exchange, ("headgate_gateway", "uvicorn"))
    connection.connection_lost(None)
    assert 35 < calls <= 46


async def test_a_request_leaves_nothing_to_the_garbage_collector(start_gateway: Any) -> None:
    # What waits for it stops the process for 30 ms, once there is enough of it.
    gateway = await start_gateway()
    body = orjson.dumps({"events": [{"name": "a"}]})
    request = b"POST /plain HTTP/1.1\r\nHost: x\r\nX-Key: k\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    last = request.replace(b"X-Key", b"Connection: close\r\nX-Key")
    gc.disable()
    before = _cycles()
    try:
        answers = await gateway.raw(*[request] * 20, last)
        left = _cycles() - before
    finally:
        gc.enable()
    assert answers.count(b"HTTP/1.1 200") == 21
    # The connection itself may keep its last.
    assert left <= 1


def _cycles() -> int:
    return sum(isinstance(one, RequestResponseCycle) for one in gc.get_objects())
