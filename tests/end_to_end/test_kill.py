"""kill -9 of each process under load: every acknowledged event reaches each sink once, whatever dies.

Producers of three kinds send numbered events and retry each request under its idempotency key, or its event id, until
it is acknowledged. A target that honours the batch id, as Standard Webhooks asks, stands beside the jsonl files.
"""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from headgate.v1 import event_pb2, ingest_service_pb2_grpc
from headgate.v1.ingest_service_pb2 import IngestEventsRequest
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRODUCERS = 4
PROCESSES = ("gateway", "service", "forwarder", "redis")


@dataclass
class Target:
    """A webhook endpoint that drops a batch whose id it has had, and fails one request in so many."""

    events: list[dict] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/hook"
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        batch = request.headers["webhook-id"]
        if batch not in self.bodies:
            self.bodies[batch] = body
            self.events.extend(json.loads(body)["data"]["events"])
        elif self.bodies[batch] != body:
            self.changed.append(batch)
        if random.random() < 0.1:
            # The batch was taken, and its sender does not learn of it.
            return web.Response(status=503)
        return web.Response(status=204)


@dataclass
class Load:
    """Numbered events, sent until each is acknowledged."""

    http: str
    grpc: str
    public: str
    secret: str
    organisation: str
    acknowledged: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    stopping: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            producers = (self._realanalytics, self._prompting_company)
            async with asyncio.TaskGroup() as tasks:
                for producer, _ in itertools.product(producers, range(PRODUCERS)):
                    tasks.create_task(self._produce(lambda producer=producer: producer(session)))
                for _ in range(PRODUCERS):
                    tasks.create_task(self._produce(self._grpc))

    async def _produce(self, send: Callable[[], Awaitable[None]]) -> None:
        while not self.stopping:
            await send()

    def _some(self, count: int) -> list[str]:
        return [f"e{next(self._numbers)}" for _ in range(count)]

    async def _realanalytics(self, session: aiohttp.ClientSession) -> None:
        ids = self._some(random.choice([1, 1, 7]))
        body = [
            {
                "event": "load",
                "timestamp": "2026-02-03T15:30:00.000Z",
                "distinctId": "u",
                "sessionId": "s",
                "properties": {"number": number},
            }
            for number in ids
        ]
        headers = {"X-API-Key": self.public, "Idempotency-Key": ids[0]}
        await self._post(session, "/", body, headers, ids)

    async def _prompting_company(self, session: aiohttp.ClientSession) -> None:
        (number,) = ids = self._some(1)
        page = {"href": "https://example.com/"}
        body = {"event": "page_visit", "eventId": number, "page": page, "properties": {"number": number}}
        await self._post(session, "/api/v1/analytics/events", body, {"x-api-key": self.organisation}, ids)

    async def _post(self, session, path: str, body: object, headers: dict[str, str], ids: list[str]) -> None:
        while True:
            try:
                async with session.post(self.http + path, json=body, headers=headers) as answer:
                    if answer.status == 200:
                        self.acknowledged.update(ids)
                        return
                    if answer.status not in (500, 503):
                        self.refused.append(f"{answer.status} {await answer.text()}")
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    async def _grpc(self) -> None:
        ids = self._some(3)
        events = [event_pb2.Event(name="load", properties_json=json.dumps({"number": n}).encode()) for n in ids]
        request = IngestEventsRequest(events=events, idempotency_key=ids[0])
        while True:
            try:
                async with grpc.aio.insecure_channel(self.grpc) as channel:
                    stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
                    metadata = [("authorization", f"Bearer {self.secret}")]
                    await stub.IngestEvents(request, metadata=metadata, timeout=10)
                self.acknowledged.update(ids)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    self.refused.append(str(error))
                    return
            await asyncio.sleep(0.05)


def assert_books_balance(headgate, least: int) -> None:
    """At any moment, whatever died."""
    rows = answered(headgate, "sinks", "status")["sinks"]
    assert [(row["name"], row["difference"]) for row in rows] == [("jsonl", 0), ("webhook", 0)]
    assert all(row["accepted"] >= least for row in rows)


def answered(headgate, *command: str) -> Any:
    """What a command says in JSON, asked again while a part that it needs has not come back."""
    ends = time.monotonic() + 30
    while True:
        done = headgate.run(*command, "--json", check=False)
        if done.returncode == 0:
            return json.loads(done.stdout)
        assert time.monotonic() < ends, done.stderr
        time.sleep(0.2)


def numbers(events: list[dict]) -> Counter[str]:
    return Counter(event["properties"]["number"] for event in events)


@pytest.mark.timeout(300)
async def test_what_was_acknowledged_is_in_each_sink_once_whatever_dies(make_headgate):
    target = Target()
    async with target.serving() as url:
        headgate = make_headgate(
            f"""
            [limits]
            rate = "1000000/60s"
            [[sinks]]
            name = "webhook"
            use = "webhook"
            [sinks.config]
            url = "{url}"
            secret = "{SECRET}"
            """
        )
        await asyncio.to_thread(headgate.start)
        made = headgate.json("key", "create", "--project", "default", "--kind", "organisation")
        load = Load(headgate.http, headgate.grpc, headgate.keys["public"], headgate.keys["secret"], made["key"])
        running = asyncio.create_task(load.run())
        for process in PROCESSES * 2:
            await asyncio.sleep(1.0)
            before = len(load.acknowledged)
            killed = headgate.kill(process)
            await until(lambda b=before: len(load.acknowledged) > b + 20, f"events flow again after {process} died")
            await until(lambda p=process, k=killed: headgate.pid(p) not in (None, k), f"{process} runs again")
            assert_books_balance(headgate, len(load.acknowledged))
        load.stopping = True
        await running
        assert load.refused == []
        assert len(load.acknowledged) > 200
        for name, sink in (("jsonl", headgate.written), ("webhook", lambda: target.events)):
            await until(lambda s=sink: load.acknowledged <= set(numbers(s())), f"{name} has every acknowledged event")
            await asyncio.sleep(1.0)
            twice = {number: times for number, times in numbers(sink()).items() if times > 1}
            assert twice == {}, name
        assert target.changed == []
        assert numbers(headgate.written()) == numbers(target.events)
        assert_books_balance(headgate, len(load.acknowledged))
        assert await asyncio.to_thread(headgate.stop) == 0


async def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"waited {seconds} s in vain until {what}")
