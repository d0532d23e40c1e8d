"""A whole service, with a real Redis and a real SQLite file, in the test's own event loop; and a control DB alone, in a
file and on a PostgreSQL."""

import asyncio
import itertools
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from headgate.v1 import (
    account_service_pb2_grpc,
    admin_service_pb2_grpc,
    ingest_service_pb2_grpc,
    project_service_pb2_grpc,
    receipt_service_pb2_grpc,
    user_service_pb2_grpc,
)
from headgate_service.config import Config, RateLimits
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from headgate_service.main import serve_until
from headgate_service.model.rate_limit import RateLimit
from headgate_service.model.sink import SinkSpec
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import Projects
from headgate_service.store.engine import Engine
from headgate_service.store.schema import migrate as migrate_store

TOKEN = "gateway-token-of-the-tests"


@dataclass
class Service:
    """A running service: its stubs, the default project and its keys."""

    config: Config
    address: str
    channel: grpc.aio.Channel
    operator: grpc.aio.Channel
    keys: dict[str, str]
    project_id: str
    owner: dict[str, str]
    task: "asyncio.Task[None]"
    stopped: asyncio.Event

    @property
    def ingest(self):
        return ingest_service_pb2_grpc.IngestServiceStub(self.channel)

    @property
    def receipts(self):
        return receipt_service_pb2_grpc.ReceiptServiceStub(self.channel)

    @property
    def admin(self):
        return admin_service_pb2_grpc.AdminServiceStub(self.operator)

    @property
    def projects(self):
        """ProjectService as the operator reaches it."""
        return project_service_pb2_grpc.ProjectServiceStub(self.operator)

    @property
    def accounts(self):
        return account_service_pb2_grpc.AccountServiceStub(self.channel)

    @property
    def users(self):
        return user_service_pb2_grpc.UserServiceStub(self.operator)

    def bearer(self, kind: str = "secret") -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.keys[kind]}")]

    async def stop(self) -> None:
        await self.channel.close()
        await self.operator.close()
        self.stopped.set()
        await self.task


@pytest.fixture
async def start_service(redis_url: str, short_dir: Path) -> AsyncIterator[Callable[..., Awaitable[Service]]]:
    """Starts a service with changes to its config; all of one test share the data directory."""
    started: list[Service] = []
    config = Config(
        grpc_host="127.0.0.1",
        grpc_port=0,
        admin_socket=short_dir / "admin.sock",
        database_url=f"sqlite+aiosqlite:///{short_dir}/control.db",
        redis_url=redis_url,
        gateway_token=TOKEN,
        first_start_file=short_dir / "first-start.json",
        ready_file=short_dir / "ready.json",
        limits=RateLimits(keys=RateLimit(1000, 60_000)),
        sinks=(SinkSpec(name="jsonl", when_full="refuse"), SinkSpec(name="webhook", when_full="expire")),
        drain_seconds=1.0,
    )

    async def start(**changes: object) -> Service:
        own = replace(config, **changes)
        own.ready_file.unlink(missing_ok=True)
        stopped = asyncio.Event()
        task = asyncio.create_task(serve_until(stopped, own))
        while not own.ready_file.exists():
            if task.done():
                await task
            await asyncio.sleep(0.01)
        address = json.loads(own.ready_file.read_text())["grpc"]
        first = json.loads(own.first_start_file.read_text())
        service = Service(
            own,
            address,
            grpc.aio.insecure_channel(address),
            grpc.aio.insecure_channel(f"unix:{own.admin_socket}"),
            first["keys"],
            first["project"]["id"],
            first["owner"],
            task,
            stopped,
        )
        started.append(service)
        return service

    yield start
    for service in started:
        if not service.task.done():
            await service.stop()


@pytest.fixture
async def service(start_service: Callable[..., Awaitable[Service]]) -> Service:
    return await start_service()


@pytest.fixture(scope="session")
def _engine() -> Iterator[Engine]:
    folder = Path(tempfile.mkdtemp(prefix="hg-store-"))
    engine = Engine(folder / "data")
    migrate_store(engine.query)
    yield engine
    engine.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store_engine(_engine: Engine) -> Engine:
    """The embedded engine with the tables of the store, empty. A process has one: do not make another."""
    _engine.query("TRUNCATE TABLE events")
    return _engine


@pytest.fixture(params=["sqlite", "postgres"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty control DB: each test runs on both kinds, unless it picks one."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/data/control.db"
    new_database: Callable[[], str] = request.getfixturevalue("new_database")
    return new_database()


@pytest.fixture
async def control_db(control_url: str) -> AsyncIterator[ControlDb]:
    database = ControlDb(control_url)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def now_ms() -> Callable[[], int]:
    ticks = itertools.count(1_700_000_000_000)
    return lambda: next(ticks)


@pytest.fixture
def projects(control_db: ControlDb, now_ms: Callable[[], int]) -> Projects:
    return Projects(control_db, random=secrets.token_bytes, now_ms=now_ms)


@pytest.fixture
def keyring(control_db: ControlDb, now_ms: Callable[[], int]) -> Keyring:
    return Keyring(control_db, random=secrets.token_bytes, now_ms=now_ms)
