"""The store sink against a real store."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result, Retry
from headgate_sinks.conformance import (
    AnswerLost,
    Fault,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.store.rows import COLUMNS, milliseconds
from headgate_sinks.store.sink import StoreConfig, StoreSink
from headgate_sinks.transport.clickhouse import StoreAddress
from pydantic import ValidationError

NOW = 1795262400.0


class Door(Target):
    """Stands before the store, and passes on what it does not refuse."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.fault: Fault | None = None
        self.url = ""
        self.inserts = 0

    async def received(self) -> list[dict[str, Any]]:
        found = await self.store.rows("SELECT event_id AS eventId, event AS name, properties_raw FROM events")
        return [{**row, "properties": json.loads(str(row["properties_raw"]) or "{}")} for row in found]

    async def arm(self, fault: Fault | None) -> None:
        self.fault = fault
        await self.store.ask("ALTER TABLE events DROP CONSTRAINT IF EXISTS fault")
        check = {Refuses: "event_id = ''", Poison: f"event_id != '{getattr(fault, 'event', '')}'"}.get(type(fault))
        if check:
            await self.store.ask(f"ALTER TABLE events ADD CONSTRAINT fault CHECK {check}")

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        inserts = "INSERT" in request.query.get("query", "")
        self.inserts += inserts
        match self.fault:
            case Unavailable():
                return web.Response(status=503)
            case RateLimited(after=after):
                code = {"X-ClickHouse-Exception-Code": "202"}
                headers = code if after is None else {**code, "Retry-After": f"{after:.0f}"}
                return web.Response(status=500, headers=headers)
            case NotAllowed():
                return web.Response(status=403, headers={"X-ClickHouse-Exception-Code": "516"})
            case TakesOnly(events=most) if inserts and body.count(b"conformance") > most:
                return web.Response(status=413)
            case Silent():
                await asyncio.Event().wait()
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.store.socket))) as session,
            session.post("http://store/", params=request.query, data=body) as answer,
        ):
            text = await answer.read()
            if inserts and self.fault == AnswerLost() and request.transport:
                request.transport.close()
            headers = {name: value for name, value in answer.headers.items() if name.startswith("X-")}
            return web.Response(status=answer.status, headers=headers, body=text)


@contextlib.asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/", door.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield door
    await runner.cleanup()


class TestConformance(SinkConformance):
    sink = StoreSink
    cannot: ClassVar = {
        TakesSome: "an insert is taken or refused as a whole",
        TakesOnly: "the store bounds bytes, not events",
    }
    running: ClassVar[Any]

    @pytest.fixture(autouse=True)
    def _with_store(self, running_store: Any) -> None:
        type(self).running = running_store

    @contextlib.asynccontextmanager
    async def target(self, folder: Path) -> AsyncIterator[Door]:
        await self.running.ask("ALTER TABLE events DROP CONSTRAINT IF EXISTS fault")
        await self.running.ask("TRUNCATE TABLE events")
        async with opened(Door(self.running)) as door:
            yield door

    def config(self, target: Door) -> dict[str, Any]:
        return {"url": target.url}


def make(url: str, environment: dict[str, str] | None = None) -> StoreSink:
    return StoreSink(StoreConfig(url=url), Place("store", Path(), lambda: NOW, environment or {}))


@contextlib.asynccontextmanager
async def running(sink: StoreSink) -> AsyncIterator[StoreSink]:
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


def event(number: int = 0, **fields: object) -> event_pb2.Event:
    given = {"project_id": "p", "event_id": f"e{number}", "name": "n", "sample_weight": 1.0, **fields}
    given.setdefault("receive_time", {"seconds": 1795262400 + number})
    return event_pb2.Event(**{"occur_time": {"seconds": 1795262400}, **given})


def batch(*events: event_pb2.Event, number: int = 1, shard: int = 7, attempt: int = 1) -> Batch:
    return Batch(f"e-store-s{shard:02d}-{number:06d}", "e", shard, number, int(NOW * 1000), events, attempt)


async def ids(store: Any) -> list[object]:
    return [row["event_id"] for row in await store.rows("SELECT event_id FROM events ORDER BY event_id")]


async def test_an_event_is_a_row_with_a_typed_value_in_each_column(store):
    full = event(
        occur_time={"seconds": 1795262400, "nanos": 123999999},
        receive_time={"seconds": 1795262401, "nanos": 5000000},
        user_id="ü\U0001f600\0'\\",
        page={"href": "https://a.example/", "title": "Ä", "referrer": "r" * 300},
        request={"user_agent": "ua", "client_ip": "1.2.3.4", "method": "GET"},
        sdk={"name": "js", "version": "1"},
        experiment={"experiment_id": "x", "variant_id": "b", "conversion": True},
        campaign={"source": "s", "campaign": "c"},
        dialect=event_pb2.DIALECT_GRPC,
        sample_weight=2.5,
        test=True,
        properties_json=rb'{"big":18446744073709551615,"a.b":1,"a":{"b":2},"nul":"\u0000","d":"2026-01-01"}',
    )
    bare = event_pb2.Event(project_id="p", event_id="e1", name="n", receive_time={"seconds": 1795262400})
    async with running(make(store.url)) as sink:
        assert await sink.write(batch(full, bare)) == Result()
    row, plain = await store.rows("SELECT * FROM events ORDER BY event_id")
    assert [name for name in row if name != "properties"] == list(COLUMNS)
    assert (row["ts"], row["receive_time"]) == ("2026-11-21 12:00:00.123", "2026-11-21 12:00:01.005")
    assert (row["user_id"], row["page_title"], row["page_referrer"]) == ("ü\U0001f600\0'\\", "Ä", "r" * 300)
    assert (row["user_agent"], row["client_ip"], row["method"], row["sdk_name"]) == ("ua", "1.2.3.4", "GET", "js")
    assert (row["experiment_id"], row["variant_id"], row["conversion"]) == ("x", "b", True)
    assert (row["utm_source"], row["utm_campaign"], row["dialect"]) == ("s", "c", "DIALECT_GRPC")
    assert (row["weight"], row["test"], plain["weight"], plain["test"]) == (2.5, True, 1, False)
    assert str(row["properties_raw"]).encode() == full.properties_json
    made = {"big": 2**64 - 1, "a.b": 1, "a": {"b": 2}, "nul": "\0", "d": "2026-01-01"}
    assert row["properties"] == made
    assert (plain["ts"], plain["page_href"], plain["properties"]) == ("2026-11-21 12:00:00.000", "", {})


def test_times_that_the_store_cannot_tell_are_the_nearest_that_it_can():
    early = event(occur_time={"seconds": -62135596800}).occur_time
    late = event(occur_time={"seconds": 253402300799}).occur_time
    assert [milliseconds(time) for time in (early, late)] == [-2208988800000, 10413791999999]


async def test_batches_that_wait_go_together(store):
    async with opened(Door(store)) as door, running(make(door.url)) as sink:
        batches = [batch(event(n, project_id=f"p{n}"), shard=n) for n in range(16)]
        assert await asyncio.gather(*map(sink.write, batches)) == [Result()] * 16
        assert len(await ids(store)) == 16
        assert door.inserts < 4


async def test_a_replay_doubles_nothing_and_fills_what_is_missing(store):
    events = [event(n) for n in range(40)]
    async with running(make(store.url)) as sink:
        assert await sink.write(batch(*events[:10], *events[20:])) == Result()
    async with running(make(store.url)) as sink:
        for part in (events[5:30], events[:40]):
            assert await sink.write(batch(*part, number=9)) == Result()
        assert await sink.write(batch(event(99), *events, number=10)) == Result()
    assert sorted(await ids(store)) == sorted(one.event_id for one in [*events, event(99)])


async def test_the_same_id_received_later_is_another_event(store):
    async with running(make(store.url)) as sink:
        first, second = event(1), event(1, receive_time={"seconds": 1795262400 + 200_000})
        assert await sink.write(batch(first)) == Result()
        assert await sink.write(batch(second, number=2)) == Result()
        assert await sink.write(batch(first, second, number=3)) == Result()
    assert await ids(store) == ["e1", "e1"]


async def test_ids_that_look_like_sql_are_ids(store):
    hostile = [event(n, event_id=name) for n, name in enumerate(("'", "\\", "') OR 1 --", "\0", "ü", "\\'"))]
    hostile.append(event(9, project_id="p'\\"))
    async with running(make(store.url)) as sink:
        for number in (1, 2):
            assert await sink.write(batch(*hostile, number=number, attempt=number)) == Result()
    assert len(await ids(store)) == 7


async def test_one_event_that_is_refused_is_named_by_its_place(store):
    async with running(make(store.url)) as sink:
        assert await sink.write(batch(event(1))) == Result()
        await store.ask("ALTER TABLE events ADD CONSTRAINT fault CHECK event_id != 'e2'")
        said = await sink.write(batch(event(1), event(2), number=2, attempt=2))
        assert [(reject.events, reject.code) for reject in said.rejected] == [((1,), "clickhouse_469")]


async def test_check_says_what_is_lacking(store):
    await make(store.url).check()
    await store.ask("RENAME TABLE events TO away")
    try:
        with pytest.raises(Misconfigured, match="lacks anonymous_id"):
            await make(store.url).check()
    finally:
        await store.ask("RENAME TABLE away TO events")
    with pytest.raises(Retry):
        await make("unix:/nowhere/store.sock").check()
    with pytest.raises(Misconfigured, match="must be http"):
        await make("env:STORE", {"STORE": "clickhouse"}).check()


@pytest.mark.parametrize("url", ["clickhouse:9000", "http://h/a b", "http://h/?a=b", "http://h:x/", "http://u%0A:p@h"])
def test_a_wrong_url_is_refused_without_being_shown(url):
    with pytest.raises(ValidationError) as caught:
        StoreConfig(url=url)
    assert url not in str(caught.value)


def test_an_address_is_read():
    address = StoreAddress.parse("https://us%40er:p%2Fw@h.example:8443/db_1")
    assert (address.url, address.database, address.user, address.password) == (
        *("https://h.example:8443", "db_1", "us@er", "p/w"),
    )
    assert "p/w" not in repr(address) + address.shown
    assert StoreAddress.parse("http://[::1]:8123").url == "http://[::1]:8123"
    assert StoreAddress.parse("http://h").database == "headgate"
