"""The clickhouse sink against the embedded ClickHouse, behind ClickHouse's HTTP interface."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result, Retry, TooLarge
from headgate_sinks.clickhouse.sink import ClickhouseConfig, ClickhouseSink, outcome, read_answer
from headgate_sinks.clickhouse.table import EventTable, forgetful, insert_body
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
from headgate_sinks.formats.event_row import COLUMNS
from pydantic import ValidationError

NOW = 1795262400.0
WRITER, PASSWORD = "writer", "pa55-of-the-writer"
USERS = {"default": "", WRITER: PASSWORD}


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="hg-ch-"))
    command = [sys.executable, str(Path(__file__).with_name("clickhouse_front.py")), str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, "USERS": json.dumps(USERS)}, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 60
        while not (folder / "port").exists():
            if process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"the engine did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{(folder / 'port').read_text()}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class Database:
    """The server as its owner sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def run(self, query: str) -> str:
        async with aiohttp.ClientSession() as session, session.post(self.url, params={"query": query}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def rows(self, query: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.run(f"{query} FORMAT JSONEachRow")).split("\n") if line]

    async def ids(self) -> list[str]:
        return [row["event_id"] for row in await self.rows("SELECT event_id FROM headgate_events ORDER BY event_id")]


@pytest.fixture
async def database(server: str) -> Database:
    database = Database(server)
    await database.run("DROP TABLE IF EXISTS headgate_events")
    return database


def make(url: str, environment: dict[str, str] | None = None, **config: object) -> ClickhouseSink:
    return ClickhouseSink(ClickhouseConfig(url=url, **config), Place("ch", Path(), lambda: NOW, environment or {}))


async def once(sink: ClickhouseSink, batch: Batch) -> object:
    try:
        await sink.open()
        return await sink.write(batch)
    except (Misconfigured, Retry, TooLarge) as said:
        return said
    finally:
        await sink.close()


def event(number: int = 0, **fields: object) -> event_pb2.Event:
    given = {"project_id": "p", "event_id": f"e{number}", "name": "n", "sample_weight": 1.0, **fields}
    return event_pb2.Event(**{"receive_time": {"seconds": 1795262400}, "occur_time": {"seconds": 1795262400}, **given})


def batch(*events: event_pb2.Event, number: int = 1) -> Batch:
    return Batch(f"e-ch-s07-{number:06d}", "e", 7, number, int(NOW * 1000), events)


@contextlib.asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Door(Target):
    """Stands before the engine, and passes on what it does not refuse."""

    def __init__(self, server: str) -> None:
        self.database = Database(server)
        self.fault: Fault | None = None
        self.url = ""

    async def received(self) -> list[dict[str, Any]]:
        rows = await self.database.rows("SELECT event_id AS eventId, name, properties FROM headgate_events")
        return [{**row, "properties": json.loads(row["properties"])} for row in rows]

    async def arm(self, fault: Fault | None) -> None:
        self.fault = fault
        await self.database.run("ALTER TABLE headgate_events DROP CONSTRAINT IF EXISTS fault")
        check = {Refuses: "event_id = ''", Poison: f"event_id != '{getattr(fault, 'event', '')}'"}.get(type(fault))
        if check:
            await self.database.run(f"ALTER TABLE headgate_events ADD CONSTRAINT fault CHECK {check}")

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        match self.fault:
            case Unavailable():
                return web.Response(status=503)
            case RateLimited(after=after):
                code = {"X-ClickHouse-Exception-Code": "202"}
                return web.Response(
                    status=500, headers=code if after is None else {**code, "Retry-After": f"{after:.0f}"}
                )
            case NotAllowed():
                return web.Response(status=403, headers={"X-ClickHouse-Exception-Code": "516"})
            case TakesOnly(events=most) if body.count(b"\n") > most:
                return web.Response(status=413)
            case Silent():
                await asyncio.Event().wait()
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.database.url, params=request.query, data=body, headers=request.headers) as answer,
        ):
            if self.fault == AnswerLost() and request.transport:
                await answer.read()
                request.transport.close()
            return web.Response(status=answer.status, headers=headers_of(answer), body=await answer.read())


def headers_of(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("X-")}


class TestConformance(SinkConformance):
    sink = ClickhouseSink
    cannot: ClassVar = {TakesSome: "an insert is taken or refused as a whole"}
    server: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _with_server(self, server: str) -> None:
        type(self).server = server

    @contextlib.asynccontextmanager
    async def target(self, folder: Path) -> AsyncIterator[Door]:
        door = Door(self.server)
        await door.database.run("DROP TABLE IF EXISTS headgate_events")
        await door.database.run(EventTable("default", "headgate_events").creation())
        async with serving(door.handle) as door.url:
            yield door

    def config(self, target: Door) -> dict[str, Any]:
        return {"url": target.url, "user": WRITER, "password": "env:CH"}

    def environment(self, target: Door) -> dict[str, str]:
        return {"CH": PASSWORD}


async def test_the_documented_example_works(server, database, documented):
    config = {**documented("clickhouse"), "url": server, "user": WRITER, "database": "default"}
    sink = make(environment={"CLICKHOUSE_PASSWORD": PASSWORD}, **config)
    await sink.check()
    assert await once(sink, batch(event(1))) == Result()
    assert await database.ids() == ["e1"]


async def test_an_event_is_a_row_with_a_typed_value_in_each_column(server, database):
    full = event(
        occur_time={"seconds": 1795262400, "nanos": 123456789},
        client_time={"seconds": -62135596800},
        user_id="ü\U0001f600\0",
        page={"href": "https://a.example/", "title": "Ä"},
        experiment={"experiment_id": "x", "variant_id": "b"},
        dialect=event_pb2.DIALECT_GRPC,
        properties_json=rb'{"big":18446744073709551615,"nul":"\u0000","deep":[[{"a":null}]]}',
    )
    assert await once(make(server), batch(full, event(1))) == Result()
    row, bare = await database.rows("SELECT * FROM headgate_events ORDER BY event_id")
    assert list(row) == [column.name for column in COLUMNS]
    assert row["occur_time"] == "2026-11-21 12:00:00.123456"
    # As early as the type can tell.
    assert row["client_time"] == "1900-01-01 00:00:00.000000"
    assert (row["user_id"], row["page_title"], row["page_path"]) == ("ü\U0001f600\0", "Ä", "")
    assert (row["experiment_conversion"], bare["experiment_conversion"]) == (False, None)
    assert (row["test"], row["sample_weight"], row["dialect"]) == (False, 1, "DIALECT_GRPC")
    assert row["properties"].encode() == full.properties_json
    assert (bare["client_time"], bare["properties"]) == (None, "")
    big = "SELECT JSONExtractUInt(properties, 'big') AS big FROM headgate_events WHERE event_id = 'e0'"
    assert int((await database.rows(big))[0]["big"]) == 2**64 - 1


async def test_a_repeated_batch_is_dropped_even_where_its_rows_are_gone(server, database):
    assert await once(make(server), batch(event(1), event(2))) == Result()
    await database.run("ALTER TABLE headgate_events DELETE WHERE event_id = 'e1' SETTINGS mutations_sync = 1")
    assert await once(make(server), batch(event(1), event(2))) == Result()
    assert await database.ids() == ["e2"]
    # The same rows of another batch are no repeat.
    assert await once(make(server), batch(event(1), event(2), number=2)) == Result()
    assert await database.ids() == ["e1", "e2", "e2"]


async def test_the_same_batch_at_the_same_time_is_written_once(server, database):
    events = [event(n) for n in range(500)]
    assert await asyncio.gather(*(once(make(server), batch(*events)) for _ in range(4))) == [Result()] * 4
    assert len(await database.ids()) == 500


async def test_a_batch_of_many_months_is_one_insert(server, database):
    events = [event(n, occur_time={"seconds": n * 31 * 86400}) for n in range(400)]
    assert await once(make(server), batch(*events)) == Result()
    assert len(await database.ids()) == 400


async def test_an_event_that_is_refused_is_alone_in_the_end(server, database):
    await database.run(EventTable("default", "headgate_events").creation())
    await database.run("ALTER TABLE headgate_events ADD CONSTRAINT mine CHECK user_id != 'nobody'")
    both = await once(make(server), batch(event(1), event(2, user_id="nobody")))
    assert isinstance(both, TooLarge)
    assert "nobody" not in both.message
    assert await database.ids() == []
    alone = await once(make(server), batch(event(2, user_id="nobody"), number=2))
    assert [(reject.events, reject.code) for reject in alone.rejected] == [((0,), "clickhouse_469")]
    assert await database.ids() == []


async def test_columns_that_a_table_lacks_are_added(server, database):
    await database.run(
        "CREATE TABLE headgate_events (project_id String, event_id String, mine UInt8 DEFAULT 7) ENGINE = MergeTree"
        " ORDER BY event_id SETTINGS non_replicated_deduplication_window = 10"
    )
    assert await once(make(server), batch(event(1))) == Result()
    assert (await database.rows("SELECT event_id, mine, name FROM headgate_events")) == [
        {"event_id": "e1", "mine": 7, "name": "n"}
    ]


@pytest.mark.parametrize("engine", ["MergeTree ORDER BY event_id", "Memory"])
async def test_a_table_that_would_take_a_batch_twice_pauses_the_sink(server, database, engine):
    creation = EventTable("default", "headgate_events").creation()
    await database.run(creation.partition(" ENGINE")[0] + f" ENGINE = {engine}")
    answer = await once(make(server), batch(event(1)))
    assert isinstance(answer, Misconfigured)
    assert "would take a repeated batch twice" in answer.message
    with pytest.raises(Misconfigured, match="twice"):
        await make(server).check()
    assert await database.ids() == []


async def test_a_dropped_table_pauses_the_sink_and_is_made_again(server, database):
    sink = make(server)
    await sink.open()
    assert await sink.write(batch(event(1))) == Result()
    await database.run("DROP TABLE headgate_events")
    answer = await sink.write(batch(event(2), number=2))
    assert isinstance(answer, Misconfigured)
    assert "60 UNKNOWN_TABLE" in answer.message
    assert await sink.write(batch(event(2), number=2)) == Result()
    assert await database.ids() == ["e2"]
    await sink.close()


async def test_nothing_is_made_where_the_operator_does_not_want_it(server, database):
    asked = make(server, create=False)
    with pytest.raises(Misconfigured, match="no table"):
        await asked.check()
    assert "no table" in (await once(asked, batch(event()))).message
    await database.run("CREATE TABLE headgate_events (project_id String) ENGINE = Memory")
    assert "lacks the columns event_id, name" in (await once(asked, batch(event()))).message


async def test_check_writes_nothing(server, database):
    await make(server).check()
    assert await database.rows("SELECT name FROM system.tables WHERE database = 'default'") == []


async def test_what_a_person_must_correct_pauses_the_sink(server, database):
    for config, said in (
        ({"user": WRITER, "password": "wr0ng"}, "516 AUTHENTICATION_FAILED"),
        ({"user": "nobody"}, "516"),
        ({"database": "nowhere"}, "81 UNKNOWN_DATABASE"),
        ({"password": "env:ABSENT"}, "ABSENT"),
        ({"password": "two\nlines"}, "more than one line"),
    ):
        answer = await once(make(server, **config), batch(event()))
        assert isinstance(answer, Misconfigured)
        assert said in answer.message
        assert "wr0ng" not in answer.message
        with pytest.raises(Misconfigured, match=said):
            await make(server, **config).check()


async def test_silence_is_tried_again():
    assert isinstance(await once(make("http://127.0.0.1:9"), batch(event())), Retry)
    with pytest.raises(Retry):
        await make("http://127.0.0.1:9").check()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, None, Result), (200, 241, Retry), (500, 241, Retry), (500, 252, Retry), (500, 159, Retry),
        (500, 202, Retry), (500, 242, Retry), (500, 319, Retry), (500, 999, Retry), (500, 33, Retry),
        (404, 60, Misconfigured), (404, 81, Misconfigured),
        (403, 516, Misconfigured), (403, 497, Misconfigured), (500, 164, Misconfigured),
        (400, 16, Misconfigured), (400, 115, Misconfigured), (400, 27, TooLarge), (400, 117, TooLarge),
        (500, 469, TooLarge), (413, None, TooLarge), (429, None, Retry), (503, None, Retry), (502, None, Retry),
        (401, None, Misconfigured), (404, None, Misconfigured), (302, None, Misconfigured),
    ],
)  # fmt: skip
def test_what_an_answer_says(status, code, expected):
    headers = {} if code is None else {"X-ClickHouse-Exception-Code": str(code)}
    assert isinstance(outcome(read_answer(status, headers, ""), 2, NOW), expected)


def test_an_error_after_the_headers_is_found_in_the_text():
    text = "12\nCode: 241. DB::Exception: Too much. (MEMORY_LIMIT_EXCEEDED) (version 26.9.2.1 (official build))\n"
    answer = outcome(read_answer(200, {}, text), 2, NOW)
    assert isinstance(answer, Retry)
    assert answer.message == "ClickHouse says 241 MEMORY_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("line", "remembers"),
    [
        ("ReplicatedMergeTree\tReplicatedMergeTree ORDER BY a\t0", True),
        ("SharedMergeTree\tx\t0", True),
        ("Distributed\tx\t0", True),
        ("ReplacingMergeTree\tx SETTINGS non_replicated_deduplication_window = 5, a = 1\t0", True),
        ("ReplacingMergeTree\tx SETTINGS non_replicated_deduplication_window = 0\t5", False),
        ("MergeTree\tx\t100", True),
        ("MergeTree\tx\t0", False),
        ("Log\tx\t100", False),
    ],
)
def test_which_tables_remember_inserts(line, remembers):
    assert (forgetful(line + "\n") is None) is remembers


def test_a_batch_is_the_same_bytes_each_time():
    one = event(page={"path": "/"}, properties_json=b'{"a":1}')
    assert insert_body([one, event(1)]) == insert_body([event_pb2.Event.FromString(one.SerializeToString()), event(1)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"table": "a b"}, {"table": "d.t"}, {"table": ""}, {"database": "a`b"}, {"url": "clickhouse:9000"},
        {"url": "http://u:p@h"}, {"url": "http://h/?a=b"}, {"user": ""},
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValidationError):
        ClickhouseConfig(**{"url": "http://h:8123", **wrong})
