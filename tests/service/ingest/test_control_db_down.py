"""A service whose control DB is away for long, with the minutes made seconds by its settings."""

import asyncio
import secrets
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headgate.v1 import account_service_pb2 as account
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1 import event_pb2
from headgate.v1 import project_service_pb2 as project
from headgate.v1.ingest_service_pb2 import IngestEventsRequest
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate_service.model.key import KeyKind, make_key

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
# More than any deadline of the control DB, and far less than for ever.
SECONDS = 25


async def code(call: Awaitable[object]) -> grpc.StatusCode:
    try:
        async with asyncio.timeout(SECONDS):
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def send(service, key: str | None = None):
    request = IngestEventsRequest(events=[event_pb2.Event(name="e", distinct_id="u")])
    return service.ingest.IngestEvents(request, metadata=[("authorization", f"Bearer {key or service.keys['secret']}")])


async def health(service, name: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return (await health_pb2_grpc.HealthStub(service.channel).Check(request)).status


async def until(wanted: object, look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(SECONDS):
        while await look() != wanted:
            await asyncio.sleep(0.05)


class Postgres:
    """One that is frozen, or ended."""

    def __init__(self, server, frozen: bool) -> None:
        self._server = server
        self._frozen = frozen
        self.url = server.url(scheme="postgresql+asyncpg")

    async def leave(self) -> None:
        if self._frozen:
            self._server.signal(signal.SIGSTOP)
        else:
            # From here on it lets nobody in, and waits for those who are there until it is told not to.
            self._server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self._server.stop)

    async def come_back(self) -> None:
        if self._frozen:
            self._server.signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(self._server.start)


class LockedFile:
    """An SQLite file that another program holds."""

    def __init__(self, folder) -> None:
        self._file = folder / "control.db"
        self.url = f"sqlite+aiosqlite:///{self._file}"

    async def leave(self) -> None:
        while True:
            self._held = sqlite3.connect(self._file, isolation_level=None, timeout=0)
            try:
                self._held.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._held.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                # Somebody reads just now.
                self._held.close()
                await asyncio.sleep(0.01)
            else:
                return

    async def come_back(self) -> None:
        self._held.close()


@pytest.fixture(params=["frozen", "ended", "locked"])
def database(request, short_dir):
    if request.param == "locked":
        return LockedFile(short_dir)
    return Postgres(request.getfixturevalue("fragile_postgres"), request.param == "frozen")


async def test_known_keys_go_on_and_nothing_hangs(start_service, database):
    service = await start_service(database_url=database.url, trust_seconds=6.0, copy_seconds=60)
    owner = account.LoginRequest(email=service.owner["email"], password=service.owner["password"])
    session = [("authorization", f"Bearer {(await service.accounts.Login(owner)).session}")]
    projects = ProjectServiceStub(service.channel)
    assert await code(projects.ListProjects(project.ListProjectsRequest(), metadata=session)) is grpc.StatusCode.OK
    assert await code(send(service)) is grpc.StatusCode.OK
    unknown = make_key(KeyKind.SECRET, secrets.token_bytes)
    assert await code(send(service, unknown)) is grpc.StatusCode.UNAUTHENTICATED
    other = make_key(KeyKind.SECRET, secrets.token_bytes)

    await database.leave()
    assert await code(send(service)) is grpc.StatusCode.OK
    await until(NOT_SERVING, partial(health, service, "control-db"))
    assert await health(service) == SERVING
    asked = {
        "login": service.accounts.Login(owner),
        "session": service.accounts.GetSession(account.GetSessionRequest(), metadata=session),
        "projects": projects.ListProjects(project.ListProjectsRequest(), metadata=session),
        "admin": service.admin.CreateProject(admin.CreateProjectRequest(name="p")),
        "unknown key": send(service, other),
    }
    known, *answers = await asyncio.gather(code(send(service)), *map(code, asked.values()))
    assert known is grpc.StatusCode.OK
    assert dict(zip(asked, answers, strict=True)) == dict.fromkeys(asked, grpc.StatusCode.UNAVAILABLE)
    # Past the time for which what is known is trusted.
    await until(grpc.StatusCode.UNAVAILABLE, lambda: code(send(service)))

    await database.come_back()
    await until(grpc.StatusCode.OK, lambda: code(send(service)))
    await until(SERVING, partial(health, service, "control-db"))
    assert await code(send(service, other)) is grpc.StatusCode.UNAUTHENTICATED
    await until(grpc.StatusCode.OK, lambda: code(service.accounts.Login(owner)))
    made = await service.admin.CreateProject(admin.CreateProjectRequest(name="p"))
    assert await code(send(service, made.keys[2].key)) is grpc.StatusCode.OK
