"""The table of errors in docs/guide/grpc.md: each row is provoked, and nothing is provoked that has no row."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import account_service_pb2_grpc, event_pb2
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.account_service_pb2 import LoginRequest
from headgate.v1.ingest_service_pb2 import IngestEventsRequest, StreamEventsRequest
from headgate.v1.ingest_service_pb2_grpc import IngestServiceStub
from headgate.v1.project_service_pb2 import CreateKeyRequest, DeleteProjectRequest
from headgate_service.config import ConnectionTerms, RateLimits, TlsFiles
from headgate_service.model.rate_limit import RateLimit

GUIDE = Path(__file__).parents[3] / "docs/guide/grpc.md"
ONE = IngestEventsRequest(events=[event_pb2.Event(name="a")])
MIB = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """A row: `told` is the ErrorInfo's reason, or where there is none a part of the message."""

    code: str
    reason: str
    told: str
    retry: str

    @property
    def name(self) -> str:
        return f"{self.code} {self.reason or self.told}"


def rows() -> list[Row]:
    table = GUIDE.read_text().partition("## Errors")[2].partition("\n## ")[0]
    found = []
    for line in table.splitlines():
        if match := re.match(r"\| `([A-Z_]+)` \| (?:`(\w+)`|none: `(.+?)`) \| .* \| (.+?) \| .* \|$", line):
            code, reason, told, retry = match.groups()
            found.append(Row(code, reason or "", told or "", retry))
    return found


Start = Callable[..., Awaitable[Any]]
PROVOKED: dict[str, Callable[[Start, Path], Awaitable[None]]] = {}


def provokes(name: str) -> Callable[[Any], Any]:
    def added(provoke: Any) -> Any:
        PROVOKED[name] = provoke
        return provoke

    return added


async def send(service: Any, request: IngestEventsRequest = ONE, metadata: Any = None, **options: Any) -> None:
    await service.ingest.IngestEvents(request, metadata=service.bearer() if metadata is None else metadata, **options)


async def first(messages: AsyncIterator[Any]) -> Any:
    return await anext(aiter(messages))


async def open_stream(service: Any) -> Any:
    stream = service.ingest.StreamEvents(metadata=service.bearer())
    await stream.write(StreamEventsRequest(request=ONE))
    assert (await stream.read()).HasField("response")
    return stream


@provokes("UNAUTHENTICATED CREDENTIAL_MISSING")
async def no_credential(start: Start, folder: Path) -> None:
    await send(await start(), metadata=[])


@provokes("UNAUTHENTICATED CREDENTIAL_INVALID")
async def unknown_key(start: Start, folder: Path) -> None:
    await send(await start(), metadata=[("authorization", "Bearer sk_live_nonsense")])


@provokes("PERMISSION_DENIED CREDENTIAL_KIND")
async def public_key(start: Start, folder: Path) -> None:
    service = await start()
    await send(service, metadata=service.bearer("public"))


@provokes("PERMISSION_DENIED SCOPE_MISSING")
async def key_without_scope(start: Start, folder: Path) -> None:
    service = await start()
    made = await service.projects.CreateKey(
        CreateKeyRequest(project="default", kind=admin.KEY_KIND_ORGANISATION, scopes=["logs:read"])
    )
    await send(service, metadata=[("authorization", f"Bearer {made.key.key}")])


@provokes("PERMISSION_DENIED PROJECT_FORBIDDEN")
async def unknown_project(start: Start, folder: Path) -> None:
    service = await start()
    await send(service, metadata=[*service.bearer(), ("x-headgate-project", "nowhere")])


async def project(service: Any, **fields: Any) -> list[tuple[str, str]]:
    """The metadata of a new project's secret key."""
    made = await service.admin.CreateProject(admin.CreateProjectRequest(name="Other", **fields))
    key = next(key.key for key in made.keys if key.kind == admin.KEY_KIND_SECRET)
    return [("authorization", f"Bearer {key}")]


@provokes("NOT_FOUND PROJECT_GONE")
async def deleted_project(start: Start, folder: Path) -> None:
    service = await start()
    metadata = await project(service)
    await send(service, metadata=metadata)
    await service.projects.DeleteProject(DeleteProjectRequest(project="other"))
    async with asyncio.timeout(20):
        while True:
            await send(service, metadata=metadata)


@provokes("INVALID_ARGUMENT INVALID")
async def no_event(start: Start, folder: Path) -> None:
    await send(await start(), IngestEventsRequest())


@provokes("INVALID_ARGUMENT TOO_LARGE")
async def many_events(start: Start, folder: Path) -> None:
    await send(await start(), IngestEventsRequest(events=[event_pb2.Event(name="a")] * 1_001))


@provokes("INVALID_ARGUMENT invalid_message")
async def no_protobuf(start: Start, folder: Path) -> None:
    await (await start()).channel.unary_unary("/headgate.v1.AccountService/Login")(b"\x0a\xff")


@provokes("INVALID_ARGUMENT message_too_large")
async def large_message_elsewhere(start: Start, folder: Path) -> None:
    service = await start()
    stub = account_service_pb2_grpc.AccountServiceStub(service.channel)
    await stub.Login(LoginRequest(email="a" * 5 * MIB))


@provokes("FAILED_PRECONDITION IDEMPOTENCY_MISMATCH")
async def reused_key(start: Start, folder: Path) -> None:
    service = await start()
    await send(service, IngestEventsRequest(events=ONE.events, idempotency_key="k"))
    await send(service, IngestEventsRequest(events=[event_pb2.Event(name="b")], idempotency_key="k"))


@provokes("RESOURCE_EXHAUSTED RATE_LIMITED")
async def over_the_rate(start: Start, folder: Path) -> None:
    service = await start(limits=RateLimits(grpc=RateLimit(1, 60_000)))
    await send(service)
    await send(service)


@provokes("RESOURCE_EXHAUSTED QUOTA_EXCEEDED")
async def over_the_quota(start: Start, folder: Path) -> None:
    service = await start()
    metadata = await project(service, monthly_limit=1)
    await send(service, metadata=metadata)
    await send(service, metadata=metadata)


@provokes("RESOURCE_EXHAUSTED too_many_streams")
async def one_stream_more(start: Start, folder: Path) -> None:
    service = await start(connections=ConnectionTerms(streams=1))
    stream = await open_stream(service)
    await first(service.ingest.StreamEvents(metadata=service.bearer()))
    del stream


@provokes("UNAVAILABLE UNAVAILABLE")
async def no_redis(start: Start, folder: Path) -> None:
    await send(await start(redis_url=f"unix://{folder}/none.sock"))


@provokes("UNAVAILABLE service_stopping")
async def stopped(start: Start, folder: Path) -> None:
    service = await start()
    stream = await open_stream(service)
    service.stopped.set()
    await stream.read()


@provokes("UNAVAILABLE connection_old")
async def old_connection(start: Start, folder: Path) -> None:
    stream = await open_stream(await start(connections=ConnectionTerms(age_seconds=1)))
    await stream.read()


@provokes("RESOURCE_EXHAUSTED larger than max")
async def message_for_the_transport(start: Start, folder: Path) -> None:
    await send(await start(), IngestEventsRequest(events=[event_pb2.Event(name="a" * 9 * MIB)]))


@provokes("DEADLINE_EXCEEDED Deadline Exceeded")
async def no_time(start: Start, folder: Path) -> None:
    await send(await start(), timeout=0.000_001)


@provokes("UNIMPLEMENTED Method not found")
async def unknown_method(start: Start, folder: Path) -> None:
    await (await start()).channel.unary_unary("/headgate.v1.IngestService/Nonsense")(b"")


async def call_by(channel: grpc.aio.Channel) -> None:
    async with channel:
        await IngestServiceStub(channel).IngestEvents(ONE, timeout=20)


@provokes("UNAVAILABLE Connection refused")
async def nobody_listens(start: Start, folder: Path) -> None:
    await call_by(grpc.aio.insecure_channel("127.0.0.1:1"))


@provokes("UNAVAILABLE http1.x server")
async def port_of_http(start: Start, folder: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await call_by(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))


def tls(folder: Path, name: str, address: str = "127.0.0.1") -> TlsFiles:
    """The files of a certificate that vouches for itself, good for the address."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(folder / f"{name}.pem", folder / f"{name}.key")
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def trusting(address: str, certificate: Path) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(certificate.read_bytes()))


@provokes("UNAVAILABLE WRONG_VERSION_NUMBER")
async def tls_to_a_plain_port(start: Start, folder: Path) -> None:
    await call_by(trusting((await start()).address, tls(folder, "server").certificate))


@provokes("UNAVAILABLE Socket closed")
async def plain_to_a_tls_port(start: Start, folder: Path) -> None:
    await send(await start(tls=tls(folder, "server")))


@provokes("UNAVAILABLE CERTIFICATE_VERIFY_FAILED")
async def unknown_authority(start: Start, folder: Path) -> None:
    service = await start(tls=tls(folder, "server"))
    await call_by(trusting(service.address, tls(folder, "other").certificate))


@provokes("UNAVAILABLE Hostname Verification Check failed")
async def another_name(start: Start, folder: Path) -> None:
    files = tls(folder, "server", "127.0.0.2")
    await call_by(trusting((await start(tls=files)).address, files.certificate))


def test_each_row_is_provoked_and_each_provoked_error_has_a_row():
    assert {row.name for row in rows()} == set(PROVOKED)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
async def test_an_error_is_as_its_row_says(start_service, tmp_path, row):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await PROVOKED[row.name](start_service, tmp_path)
    error = caught.value
    status = rpc_status.from_call(error)
    details = {detail.TypeName().rpartition(".")[2]: detail for detail in status.details} if status else {}
    info = error_details_pb2.ErrorInfo()
    if "ErrorInfo" in details:
        details["ErrorInfo"].Unpack(info)
        assert info.domain == "headgate"
    assert (error.code().name, info.reason) == (row.code, row.reason)
    assert row.told in (error.details() or "")
    pushback = dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")
    if row.retry == "after `RetryInfo`":
        assert int(pushback) >= 0
        assert "RetryInfo" in details
    elif row.retry != "next month":
        assert (pushback, "RetryInfo" in details) == (None, False)
    assert ("BadRequest" in details) <= (row.code == "INVALID_ARGUMENT")
