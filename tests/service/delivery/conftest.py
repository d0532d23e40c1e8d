"""A log to fill, a target to deliver to, and a forwarder to run between them."""

import asyncio
import contextlib
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_service.delivery.books import Books, Ledger
from headgate_service.delivery.config import Config
from headgate_service.delivery.main import serve
from headgate_service.log.append import Append, Appender, EpochNames, LogProject
from headgate_service.log.entry import encode
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0" * 4
DEADLINE = 30.0

Refusal = Callable[[web.Request, bytes], web.StreamResponse | None]


class Producer:
    """Appends to the log as the service does."""

    def __init__(self, url: str, epochs: EpochNames) -> None:
        self.pipeline = RedisPipeline(url)
        self.refusing: tuple[str, ...] = ()
        self.bound = 1 << 40
        self.appender = Appender(self.pipeline, lambda _: self.refusing, 1 << 40, lambda: datetime.now(UTC), epochs)
        self.sent: dict[str, list[str]] = defaultdict(list)

    async def append(self, project: str, count: int = 1, padding: int = 0, shard: int | None = None) -> None:
        """One request of so many events, named by project and number, in order."""
        first = len(self.sent[project])
        names = [f"{project}/{first + index}" for index in range(count)]
        properties = json.dumps({"padding": "x" * padding}).encode()
        events = [event_pb2.Event(name=name, properties_json=properties) for name in names]
        where = shard_of(project) if shard is None else shard
        verdict = await self.appender.append(
            LogProject(project, where, None), Append(encode(event_pb2.DIALECT_GRPC, events), {})
        )
        assert verdict.status == "ok"
        self.sent[project] += names

    async def close(self) -> None:
        await self.pipeline.close()


def shard_of(project: str) -> int:
    return sum(project.encode()) % SHARDS


class Target:
    """A receiver of webhooks that checks every signature and honours the id: it takes each once."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.ids: set[str] = set()
        self.refuse: Refusal = lambda request, body: None
        self.url = ""

    async def post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        batch_id = request.headers["webhook-id"]
        self.bodies[batch_id].append(body)
        if (refusal := self.refuse(request, body)) is not None:
            return refusal
        if batch_id not in self.ids:
            self.ids.add(batch_id)
            for event in json.loads(body)["data"]["events"]:
                self.taken[event["projectId"]].append(event["name"])
        return web.Response(text="taken")

    def assert_resends_are_identical(self) -> None:
        assert all(len(set(bodies)) == 1 for bodies in self.bodies.values())


@pytest.fixture
async def producer(redis_url: str, epochs: EpochNames) -> AsyncIterator[Producer]:
    producer = Producer(redis_url, epochs)
    yield producer
    await producer.close()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/", target.post)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    target.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield target
    await runner.cleanup()


class Rig:
    """One Redis, one data directory, one receiver, and forwarders between them."""

    def __init__(self, redis_url: str, data_dir: Path, target: Target) -> None:
        self.redis_url = redis_url
        self.data_dir = data_dir
        self.target = target

    def jsonl(self, name: str = "jsonl", **settings: Any) -> SinkSpec:
        return SinkSpec(name=name, use="jsonl", settings={"max_age": 0.01, **settings})

    def webhook(self, name: str = "hook", **settings: Any) -> SinkSpec:
        own = {"url": self.target.url, "secret": SECRET, "max_age": 0.01}
        return SinkSpec(name=name, use="webhook", settings={**own, **settings})

    def config(self, *sinks: SinkSpec, **changes: Any) -> Config:
        quick: dict[str, Any] = {
            "lease": 1.5,
            "backoff_first": 0.05,
            "backoff_longest": 0.2,
            "pause": 0.2,
            "expire_check": 0.1,
            "trim": 0.2,
            "drain": 5.0,
            "isolate": False,
        }
        return Config(redis_url=self.redis_url, data_dir=self.data_dir, sinks=sinks, **{**quick, **changes})

    @contextlib.asynccontextmanager
    async def forwarding(self, config: Config, **arguments: Any) -> AsyncIterator[None]:
        """Runs a forwarder in this process, and drains it."""
        stop = asyncio.Event()
        task = asyncio.create_task(serve(config, stop=stop, **arguments))
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(DEADLINE):
                await task

    async def child(self, *sinks: SinkSpec, **plan: Any) -> asyncio.subprocess.Process:
        """Runs a forwarder in a process of its own; `plan` is what forwarder_child.py reads, and changes to Config."""
        plan["redis_url"], plan["data_dir"] = self.redis_url, str(self.data_dir)
        plan["sinks"] = [_fields(sink) for sink in sinks]
        plan["deployed"] = [
            (one.project_id, one.shard, one.version, _fields(one.config)) for one in plan.get("deployed", ())
        ]
        script = Path(__file__).with_name("forwarder_child.py")
        return await asyncio.create_subprocess_exec(sys.executable, str(script), json.dumps(plan))

    async def eventually(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Waits for a condition, which may be a coroutine function."""
        ends = asyncio.get_running_loop().time() + DEADLINE
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            if asyncio.get_running_loop().time() > ends:
                pytest.fail(f"did not happen within {DEADLINE:g} s: {what}")
            await asyncio.sleep(0.02)

    def lines(self) -> dict[str, list[str]]:
        """The names of the events in the jsonl files, by project, in the files' order."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted((self.data_dir / "events").glob("*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    event = json.loads(line)
                    found[event["projectId"]].append(event["name"])
        return found


def _fields(sink: SinkSpec) -> dict[str, Any]:
    route = sink.route and sink.route.source
    return {"name": sink.name, "use": sink.use, "settings": sink.settings, "route": route}


async def books(producer: Producer, *sinks: str) -> list[Books]:
    """The books of each sink in each project that the producer appended to."""
    ledger = Ledger(producer.pipeline, entries_at_once=7)
    rows = [await ledger.books(shard_keys(shard_of(one)), one, sinks) for one in sorted(producer.sent)]
    return [book for row in rows for book in row]


async def assert_books_balance(producer: Producer, *sinks: str) -> None:
    """Each sink has explained each event that the producer appended, whether it is delivered yet or not."""
    for book in await books(producer, *sinks):
        assert book.difference == 0, book
        assert book.start == 0
        assert book.accepted == len(producer.sent[book.project_id])


@pytest.fixture
def balanced(producer: Producer) -> Callable[..., Awaitable[None]]:
    """Checks that the books of the named sinks balance."""
    return lambda *sinks: assert_books_balance(producer, *sinks)


@pytest.fixture
def rig(redis_url: str, epochs: EpochNames, tmp_path: Path, target: Target) -> Rig:
    return Rig(redis_url, tmp_path, target)
