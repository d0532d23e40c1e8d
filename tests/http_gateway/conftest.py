"""A gateway on a real socket, with a plain dialect and a client or a gRPC service that tests steer."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health, health_pb2_grpc
from headgate.v1 import (
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    outcome_pb2,
    receipt_service_pb2,
    receipt_service_pb2_grpc,
)
from headgate_dialects.formats import strict_json
from headgate_dialects.host import built_in
from headgate_dialects.sdk.api import Api, Route
from headgate_dialects.sdk.dialect import Answer, Fault, Inbound, Parsed, Unparsable
from headgate_dialects.sdk.rejection import Rejection
from headgate_gateway.app import create_app
from headgate_gateway.app_api.streaming import Streams
from headgate_gateway.config import Config
from headgate_gateway.http.body import BodyLimits
from headgate_gateway.http.worker_thread import WorkerThread
from headgate_gateway.http_server.connection import HeadLimits
from headgate_gateway.http_server.server import Server
from headgate_gateway.ingest.client import IngestClient
from headgate_gateway.main import uvicorn_config
from headgate_gateway.metrics import Metrics

TOKEN = "the-gateway-token"

_STATUSES = {
    Rejection.NOT_JSON: 400,
    Rejection.INVALID: 422,
    Rejection.CREDENTIAL_MISSING: 401,
    Rejection.METHOD: 405,
    Rejection.TOO_LARGE: 413,
    Rejection.MEDIA_TYPE: 415,
    Rejection.SLOW: 408,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: 401,
    outcome_pb2.CAUSE_RATE_LIMITED: 429,
    outcome_pb2.CAUSE_UNAVAILABLE: 503,
}


class PlainDialect:
    """Its key is the header x-key; its body {"events": [{"name"}]}, where an event without a name is refused."""

    api = Api("plain", "Plain", (Route("/plain"),), max_body_bytes=1000)

    def __init__(self) -> None:
        self.threads: list[str] = []
        """In which each body was parsed."""

    def parse(self, inbound: Inbound) -> Parsed:
        self.threads.append(threading.current_thread().name)
        key = inbound.headers.get("x-key", "")
        if not key:
            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")
        try:
            body: Any = strict_json.loads(inbound.body)
        except strict_json.Malformed as malformed:
            raise Unparsable(Rejection.NOT_JSON, (Fault(None, "body", str(malformed)),), key) from None
        if body == "explode":
            raise RuntimeError("a secret of the body")
        events = body["events"]
        places = [index for index, event in enumerate(events) if "name" in event]
        request = ingest_service_pb2.GatheredRequest()
        for index in places:
            request.entry.events.add(name=events[index]["name"])
        if not places:
            raise Unparsable(Rejection.INVALID, (Fault(0, "name", "missing"),), key, refused=len(events))
        return Parsed(request, key, refused=len(events) - len(places), places=places)

    def accepted(self, parsed: Parsed, response: ingest_service_pb2.IngestEventsResponse) -> Answer:
        return Answer(200, {"received": len(parsed.events)})

    def refused(self, refusal: outcome_pb2.Refusal, parsed: Parsed | None = None) -> Answer:
        return Answer(_STATUSES[refusal.cause], {"cause": outcome_pb2.Cause.Name(refusal.cause)})

    def rejected(self, unparsable: Unparsable) -> Answer:
        faults = [[fault.index, fault.field, fault.message] for fault in unparsable.faults]
        return Answer(_STATUSES[unparsable.cause], {"cause": str(unparsable.cause), "faults": faults})

    def operation(self) -> dict[str, Any]:
        return {"responses": {"200": {"description": "ok"}}}

    def components(self) -> dict[str, Any]:
        return {}


def accept(request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
    """The service's answer where it likes everything."""
    answer = ingest_service_pb2.GatheredAnswer()
    for index, event in enumerate(request.entry.events):
        answer.response.results.add(
            index=index, outcome=outcome_pb2.OUTCOME_ACCEPTED, event_id=event.event_id or f"made-{index}"
        )
    answer.response.receive_time.FromMilliseconds(1_770_000_000_123)
    if request.entry.events and not request.dry_run:
        answer.response.receipt = "r1"
    return answer


@dataclass
class FakeIngestClient:
    """Keeps the requests, and answers them as `judge` says; it may raise."""

    judge: Callable[[ingest_service_pb2.GatheredRequest], ingest_service_pb2.GatheredAnswer] = accept
    requests: list[ingest_service_pb2.GatheredRequest] = field(default_factory=list)

    async def ingest(self, request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
        self.requests.append(request)
        return self.judge(request)

    async def refused(self, seconds: float) -> str:
        return ""


@dataclass
class FakeService(ingest_service_pb2_grpc.IngestServiceServicer, receipt_service_pb2_grpc.ReceiptServiceServicer):
    """A gRPC server that notes every gathered call and answers it when `gate` is open."""

    address: str
    health: Any
    calls: list[ingest_service_pb2.IngestGatheredRequest] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    contracts: list[str] = field(default_factory=list)
    seconds_given: list[float] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    judge: Callable[[ingest_service_pb2.GatheredRequest], ingest_service_pb2.GatheredAnswer] = accept
    fail_with: grpc.StatusCode | None = None
    forget_an_answer: bool = False
    running: int = 0
    most_running: int = 0
    receipts: dict[str, receipt_service_pb2.GetReceiptResponse] = field(default_factory=dict)
    receipt_metadata: list[dict[str, str]] = field(default_factory=list)

    def handler(self) -> Any:
        """Of a call whose request may come in parts."""

        async def joined(parts: AsyncIterator[bytes], context: Any) -> ingest_service_pb2.IngestGatheredResponse:
            message = b"".join([part async for part in parts])
            return await self.IngestGathered(ingest_service_pb2.IngestGatheredRequest.FromString(message), context)

        return grpc.stream_unary_rpc_method_handler(
            joined, None, ingest_service_pb2.IngestGatheredResponse.SerializeToString
        )

    async def IngestGathered(  # noqa: N802 - gRPC's name
        self, request: ingest_service_pb2.IngestGatheredRequest, context: Any
    ) -> ingest_service_pb2.IngestGatheredResponse:
        self.calls.append(request)
        self.seconds_given.append(context.time_remaining())
        self.tokens += [value for key, value in context.invocation_metadata() if key == "headgate-gateway-token"]
        self.contracts += [value for key, value in context.invocation_metadata() if key == "headgate-contract"]
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.fail_with:
            await context.abort(self.fail_with, "as the test wishes")
        answers = [self.judge(one) for one in request.requests]
        return ingest_service_pb2.IngestGatheredResponse(answers=answers[: -1 if self.forget_an_answer else None])

    async def GetReceipt(  # noqa: N802 - gRPC's name
        self, request: receipt_service_pb2.GetReceiptRequest, context: Any
    ) -> receipt_service_pb2.GetReceiptResponse:
        self.receipt_metadata.append(dict(context.invocation_metadata()))
        if self.fail_with:
            await context.abort(self.fail_with, "as the test wishes")
        if request.receipt not in self.receipts:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such receipt")
        return self.receipts[request.receipt]


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 4 * 1024 * 1024)])
    port = server.add_insecure_port("127.0.0.1:0")
    servicer = health.aio.HealthServicer()
    fake = FakeService(f"127.0.0.1:{port}", servicer)
    fake.gate.set()
    server.add_registered_method_handlers("headgate.v1.IngestService", {"IngestGathered": fake.handler()})
    receipt_service_pb2_grpc.add_ReceiptServiceServicer_to_server(fake, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await server.start()
    yield fake
    fake.gate.set()
    await server.stop(None)


@dataclass
class RunningGateway:
    url: str
    port: int
    client: FakeIngestClient
    metrics: Metrics
    plain: PlainDialect
    side: WorkerThread

    async def raw(self, *pieces: bytes) -> bytes:
        """Send bytes as they are, and read until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


StartGateway = Callable[..., "Awaitable[RunningGateway]"]


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Start gateways in this event loop; they end with the test."""
    running: list[tuple[Server, asyncio.Task[None], grpc.aio.Channel]] = []
    ids = itertools.count(1)

    async def start(
        *,
        client: IngestClient | None = None,
        limits: BodyLimits | None = None,
        head: HeadLimits | None = None,
        proxies: Sequence[str] = (),
        service_address: str = "127.0.0.1:1",
        probe_seconds: float = 1.0,
        keep_alive_seconds: int = 65,
        max_connections: int = 100,
    ) -> RunningGateway:
        listener = socket.create_server(("127.0.0.1", 0))
        metrics = Metrics()
        channel = grpc.aio.insecure_channel(service_address)
        client = client or FakeIngestClient()
        side = WorkerThread(waiting=1)
        plain = PlainDialect()
        app = create_app(
            dialects=(*built_in(), plain),
            client=client,
            channel=channel,
            metrics=metrics,
            side=side,
            streams=Streams(),
            gateway_token="token",
            limits=limits or BodyLimits(),
            trusted_proxies=[ip_network(name) for name in proxies],
            receipt_seconds=2,
            probe_seconds=probe_seconds,
            clock=time.monotonic,
            new_request_id=lambda: f"id-{next(ids)}",
        )
        config = Config(
            "127.0.0.1",
            0,
            service_address,
            TOKEN,
            head=head or HeadLimits(),
            drain_seconds=2,
            keep_alive_seconds=keep_alive_seconds,
            max_connections=max_connections,
        )
        ready = asyncio.Event()
        server = Server(uvicorn_config(config, app, metrics), ready.set)
        running.append((server, asyncio.create_task(server.serve(sockets=[listener])), channel))
        await asyncio.wait_for(ready.wait(), 10)
        port = listener.getsockname()[1]
        return RunningGateway(f"http://127.0.0.1:{port}", port, client, metrics, plain, side)  # type: ignore[arg-type]

    yield start
    for server, task, channel in running:
        server.should_exit = True
        await asyncio.wait_for(task, 20)
        await channel.close()


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> RunningGateway:
    return await start_gateway()


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        yield client


@pytest.fixture
def fake_client() -> Callable[..., FakeIngestClient]:
    return FakeIngestClient


@pytest.fixture
def accepting() -> Callable[[ingest_service_pb2.GatheredRequest], ingest_service_pb2.GatheredAnswer]:
    return accept


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture
def gateway_config(tmp_path: Path, service: FakeService) -> Config:
    return Config("127.0.0.1", 0, service.address, TOKEN, ready_file=tmp_path / "ready.json", drain_seconds=5)
