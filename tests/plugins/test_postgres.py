"""The postgres sink against a real PostgreSQL."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Reject, Result, Retry
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
from headgate_sinks.postgres.sink import PostgresConfig, PostgresSink, outcome_of, postgres_row
from headgate_sinks.postgres.table import EventTable
from pydantic import ValidationError

NOW = 1795262400.0
WRITER, PASSWORD = "locked", "pa55-of-the-writer"
# Of tests/conftest.py.
Server = Any


@pytest.fixture(scope="session")
def server(new_postgres: Callable[[], Server]) -> Server:
    server = new_postgres()
    server.locked_users.append(WRITER)
    server.start()
    roles = f"CREATE ROLE {WRITER} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE reader LOGIN"
    server.sql(roles)
    return server


@pytest.fixture
async def database(server: Server) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.url())
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public")
    yield connection
    await connection.close()


@pytest.fixture
async def sink(server: Server, database: asyncpg.Connection) -> AsyncIterator[PostgresSink]:
    sink = make(server.url())
    await sink.open()
    yield sink
    await sink.close()


def make(url: str, environment: dict[str, str] | None = None, **config: object) -> PostgresSink:
    return PostgresSink(PostgresConfig(url=url, **config), Place("db", Path(), lambda: NOW, environment or {}))


async def once(sink: PostgresSink, batch: Batch) -> object:
    try:
        await sink.open()
        return await sink.write(batch)
    except Misconfigured as error:
        return error
    finally:
        await sink.close()


def event(number: int = 0, **fields: object) -> event_pb2.Event:
    given = {"project_id": "p", "event_id": f"e{number}", "name": "n", "sample_weight": 1.0, **fields}
    return event_pb2.Event(**{"receive_time": {"seconds": int(NOW)}, **given})


def next_day(number: int, **fields: object) -> event_pb2.Event:
    """Another event under an id of yesterday."""
    return event(number, name="next day", receive_time={"seconds": int(NOW) + 86_401}, **fields)


def batch(*events: event_pb2.Event, number: int = 1) -> Batch:
    return Batch(f"e-db-s07-{number:06d}", "e", 7, number, int(NOW * 1000), events)


async def ids(database: asyncpg.Connection, table: str = "headgate_events") -> Sequence[str]:
    return [row[0] for row in await database.fetch(f"SELECT event_id FROM {table} ORDER BY event_id")]  # noqa: S608


class Line(Target):
    """The way to a database of its own, on which things go wrong; and what is in its table."""

    def __init__(self, server: Server, owner: asyncpg.Connection) -> None:
        self.server = server
        self.owner = owner
        self.fault: Fault | None = None
        self.port = 0

    async def received(self) -> list[dict[str, Any]]:
        rows = await self.owner.fetch('SELECT event_id AS "eventId", name, properties FROM headgate_events')
        return [{**row, "properties": json.loads(row["properties"], parse_int=number)} for row in rows]

    async def arm(self, fault: Fault | None) -> None:
        self.fault = fault
        await self.owner.execute("ALTER TABLE headgate_events DROP CONSTRAINT IF EXISTS fault")
        await self.owner.execute(f"GRANT INSERT ON headgate_events TO {WRITER}")
        match fault:
            case Refuses():
                await self.owner.execute("ALTER TABLE headgate_events ADD CONSTRAINT fault CHECK (false) NOT VALID")
            case Poison(event=event):
                check = f"event_id <> '{event}'"
                await self.owner.execute(f"ALTER TABLE headgate_events ADD CONSTRAINT fault CHECK ({check}) NOT VALID")
            case NotAllowed():
                await self.owner.execute(f"REVOKE INSERT ON headgate_events FROM {WRITER}")

    async def connect(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        path = self.server.folder / "data" / ".s.PGSQL.5432"
        answers, ahead = await asyncio.open_unix_connection(path)
        await asyncio.gather(self.forward(client, ahead, back), self.forward(answers, back, ahead))

    async def forward(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(65536):
            if self.fault == Unavailable():
                break
            if self.fault == Silent():
                continue
            # A message that begins so says that the server has committed.
            if self.fault == AnswerLost() and data.startswith(b"C") and b"COMMIT" in data:
                break
            to.write(data)
        to.close()
        other.close()


def number(literal: str) -> float:
    """`jsonb` spells numbers out: beyond 64 bits it was a float."""
    return int(literal) if len(literal) <= 20 else float(literal)


class TestConformance(SinkConformance):
    sink = PostgresSink
    cannot: ClassVar = {
        RateLimited: "PostgreSQL sets no rate and never says how long to wait",
        TakesSome: "a row is taken or refused in one transaction with the others: none is put off",
        TakesOnly: "PostgreSQL takes batches of any size",
    }
    server: ClassVar[Server]

    @pytest.fixture(autouse=True)
    def _with_server(self, server: Server) -> None:
        type(self).server = server

    @contextlib.asynccontextmanager
    async def target(self, folder: Path) -> AsyncIterator[Line]:
        admin = await asyncpg.connect(self.server.url())
        await admin.execute("DROP DATABASE IF EXISTS kit WITH (FORCE)")
        await admin.execute("CREATE DATABASE kit STRATEGY file_copy")
        await admin.close()
        owner = await asyncpg.connect(self.server.url(database="kit"))
        await owner.execute(EventTable("headgate_events").creation())
        await owner.execute(f"GRANT ALL ON headgate_events, headgate_events_batches TO {WRITER}")
        line = Line(self.server, owner)
        listening = await asyncio.start_server(line.connect, "127.0.0.1", 0)
        line.port = listening.sockets[0].getsockname()[1]
        yield line
        listening.close()
        await owner.close()

    def config(self, target: Line) -> dict[str, Any]:
        return {"url": f"postgresql://{WRITER}:{PASSWORD}@127.0.0.1:{target.port}/kit?sslmode=disable"}


async def test_an_event_is_a_row_with_a_typed_value_in_each_column(sink, database):
    full = event(
        occur_time={"seconds": 1795262400, "nanos": 123456789},
        client_time={"seconds": -62135596799},
        user_id="ü\U0001f600",
        page={"href": "https://a.example/", "title": "Ä"},
        experiment={"experiment_id": "x", "variant_id": "b"},
        campaign={"campaign": "spring"},
        dialect=event_pb2.DIALECT_GRPC,
        properties_json=json.dumps({"big": 2**63 - 1, "deep": [[[{"a": None}]]], "é": "\U0001f600"}).encode(),
    )
    assert await sink.write(batch(full, event(1))) == Result()
    row, bare = await database.fetch("SELECT * FROM headgate_events ORDER BY event_id")
    assert list(row.keys()) == [column.name for column in COLUMNS]
    assert row["occur_time"] == datetime(2026, 11, 21, 12, 0, 0, 123456, UTC)
    assert row["client_time"] == datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (row["user_id"], row["page_title"], row["page_path"]) == ("ü\U0001f600", "Ä", None)
    assert (row["experiment_variant_id"], row["experiment_conversion"], row["campaign_name"]) == ("b", False, "spring")
    assert (row["dialect"], row["test"], row["sample_weight"]) == ("DIALECT_GRPC", False, 1.0)
    assert (bare["properties"], bare["occur_time"], bare["experiment_conversion"]) == (None, None, None)
    exact = "SELECT properties ->> 'big', properties #>> '{deep,0,0,0}', properties ->> 'é' FROM headgate_events"
    assert tuple((await database.fetch(exact + " WHERE event_id = 'e0'"))[0]) == (
        "9223372036854775807",
        '{"a": null}',
        "\U0001f600",
    )


async def test_the_documented_example_works(server, database, documented):
    sink = make(environment={"WAREHOUSE_URL": server.url()}, **documented("postgres"))
    await sink.check()
    assert await once(sink, batch(event(1))) == Result()
    assert await ids(database) == ["e1"]


async def test_a_repeated_batch_changes_nothing_even_where_its_rows_are_gone(sink, database):
    assert await sink.write(batch(event(1), event(2))) == Result()
    await database.execute("DELETE FROM headgate_events WHERE event_id = 'e1'")
    assert await sink.write(batch(event(1), event(2))) == Result()
    assert await ids(database) == ["e2"]


async def test_an_event_under_another_batch_id_is_not_doubled(sink, database):
    assert await sink.write(batch(event(1), event(1))) == Result()
    assert await sink.write(batch(event(1, name="other"), event(2), event(1, project_id="q"), number=2)) == Result()
    assert await database.fetchval("SELECT name FROM headgate_events WHERE (project_id, event_id) = ('p', 'e1')") == "n"
    assert await ids(database) == ["e1", "e1", "e2"]


async def names(database: asyncpg.Connection) -> list[tuple[str, str]]:
    return [tuple(row) for row in await database.fetch("SELECT event_id, name FROM headgate_events ORDER BY 1, 2")]


async def test_an_id_that_is_used_again_after_a_day_is_another_event(sink, database):
    assert await sink.write(batch(event(1))) == Result()
    assert await sink.write(batch(event(1), next_day(1), event(2), next_day(2), number=2)) == Result()
    assert await sink.write(batch(next_day(1), event(2), number=3)) == Result()
    assert await names(database) == [("e1", "n"), ("e1", "next day"), ("e2", "n"), ("e2", "next day")]


OLD_KEY = "CREATE TABLE headgate_events (project_id text, event_id text, PRIMARY KEY (project_id, event_id))"
NEW_KEY = """
ALTER TABLE headgate_events DROP CONSTRAINT headgate_events_pkey,
    ADD PRIMARY KEY (project_id, event_id, receive_time)
"""


async def test_where_the_key_has_room_for_one_of_them_the_other_is_a_dead_letter(server, database):
    await database.execute(OLD_KEY)
    sink = make(server.url())
    await sink.open()
    assert await sink.write(batch(event(1), event(1))) == Result()
    answer = await sink.write(batch(event(2), next_day(1), event(1), next_day(2), next_day(3), number=2))
    assert [(reject.events, reject.code) for reject in answer.rejected] == [
        ((1,), "event_id_taken"),
        ((3,), "event_id_taken"),
    ]
    assert "(project_id, event_id, receive_time)" in answer.rejected[0].message
    assert await sink.write(batch(event(2), next_day(1), event(1), next_day(2), next_day(3), number=2)) == answer
    # One that was refused stands beside it no better, and what is refused for other reasons is told apart.
    await database.execute("ALTER TABLE headgate_events ADD CHECK (user_id <> 'nobody')")
    mixed = await sink.write(batch(event(4, user_id="nobody"), next_day(1), event(5), number=3))
    assert sorted((reject.events, reject.code) for reject in mixed.rejected) == [
        ((0,), "postgres_23514"),
        ((1,), "event_id_taken"),
    ]
    # What the guide says to do; it is noticed without a restart.
    await database.execute(NEW_KEY)
    assert isinstance(await sink.write(batch(next_day(1), number=4)), Misconfigured)
    assert await sink.write(batch(next_day(1), number=4)) == Result()
    assert await names(database) == [
        ("e1", "n"), ("e1", "next day"), ("e2", "n"), ("e3", "next day"), ("e5", "n"),
    ]  # fmt: skip
    await sink.close()


@pytest.mark.parametrize("other", [
    "CREATE UNIQUE INDEX ON headgate_events (project_id, event_id) WHERE name = 'x'",
    "CREATE UNIQUE INDEX ON headgate_events (project_id, lower(event_id), receive_time, name)",
    "CREATE UNIQUE INDEX ON headgate_events (project_id, event_id, receive_time) INCLUDE (name)",
])  # fmt: skip
async def test_other_unique_indexes_are_not_taken_for_the_key(sink, server, database, other):
    assert await sink.write(batch(event(1))) == Result()
    await database.execute(other)
    fresh = make(server.url())
    assert await once(fresh, batch(next_day(1), event(1), number=2)) == Result()
    assert await ids(database) == ["e1", "e1"]


async def test_the_same_batch_at_the_same_time_is_written_once(server, database):
    # Each of them finds no table, too.
    sinks = [make(server.url()) for _ in range(4)]
    events = [event(n) for n in range(500)]
    assert await asyncio.gather(*(once(sink, batch(*events)) for sink in sinks)) == [Result()] * 4
    assert len(await ids(database)) == 500


async def test_a_write_cut_off_at_any_moment_is_whole_or_not_there(sink, database):
    events = [event(n, properties_json=b'{"a":"' + b"x" * 500 + b'"}') for n in range(300)]
    await sink.write(batch(event(999)))
    for attempt in range(12):
        one = Batch(f"cut-{attempt}", "e", 7, attempt, 0, [event(n, project_id=f"p{attempt}") for n in range(300)])
        writing = asyncio.create_task(sink.write(one))
        for _ in range(attempt * 3):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        counted = "SELECT count(*) FROM headgate_events WHERE project_id = $1"
        assert await database.fetchval(counted, f"p{attempt}") in (0, 300)
        assert await sink.write(one) == Result()
        assert await database.fetchval(counted, f"p{attempt}") == 300
    assert await sink.write(batch(*events, number=2)) == Result()


async def test_a_nul_is_shown_and_never_loses_an_event(sink, database):
    properties = rb'{"a\u0000":"x\u0000\\u0000\\\u0000","b":"\u00e9"}'
    assert await sink.write(batch(event(1, name="a\0b", properties_json=properties))) == Result()
    row = await database.fetchrow("SELECT name, properties FROM headgate_events")
    assert row["name"] == "a\u2400b"
    assert json.loads(row["properties"]) == {"a\u2400": "x\u2400\\u0000\\\u2400", "b": "é"}


async def test_an_id_with_a_nul_is_a_dead_letter_rather_than_another_id(sink, database):
    answer = await sink.write(batch(event(1), event(event_id="a\0"), event(2)))
    assert [(reject.events, reject.code) for reject in answer.rejected] == [((1,), "nul_in_event_id")]
    assert await ids(database) == ["e1", "e2"]


async def test_what_the_database_refuses_is_found_and_the_rest_is_written(sink, database):
    await sink.write(batch(event(100)))
    await database.execute("ALTER TABLE headgate_events ADD CHECK (user_id <> 'nobody')")
    events = [event(n) for n in range(20)]
    events[3] = event(3, properties_json=rb'{"a":"\ud800"}')
    events[11] = event(11, properties_json=b'{"a":1e200000}')
    events[12] = event(12, user_id="nobody")
    events[19] = event(event_id=os.urandom(6000).hex())
    answer = await sink.write(batch(*events, number=2))
    assert sorted((reject.events, reject.code) for reject in answer.rejected) == [
        ((3,), "postgres_22p02"),
        ((11,), "postgres_22003"),
        ((12,), "postgres_23514"),
        ((19,), "postgres_54000"),
    ]
    assert len(await ids(database)) == 17
    # A repeat must say the same of each event, or the books would show dead letters as delivered.
    repeated = await sink.write(batch(*events, number=2))
    assert repeated == answer
    assert isinstance(repeated.rejected[0], Reject)


async def test_columns_that_a_table_lacks_are_added(server, database):
    await database.execute(
        "CREATE TABLE wide (project_id text, event_id text, mine int DEFAULT 7, PRIMARY KEY (project_id, event_id));"
        "INSERT INTO wide VALUES ('p', 'old')"
    )
    assert await once(make(server.url(), table="public.wide"), batch(event(1))) == Result()
    assert await ids(database, "wide") == ["e1", "old"]
    assert await database.fetchval("SELECT mine FROM wide WHERE event_id = 'e1'") == 7


async def test_a_dropped_table_pauses_the_sink_and_is_made_again(sink, database):
    assert await sink.write(batch(event(1))) == Result()
    await database.execute("DROP TABLE headgate_events, headgate_events_batches")
    assert isinstance(await sink.write(batch(event(2), number=2)), Misconfigured)
    assert await sink.write(batch(event(2), number=2)) == Result()
    assert await ids(database) == ["e2"]


async def test_nothing_is_made_where_the_operator_does_not_want_it(server, database):
    asked = make(server.url(), create=False)
    with pytest.raises(Misconfigured, match="no table"):
        await asked.check()
    assert "no table" in (await once(asked, batch(event()))).message
    await database.execute(
        "CREATE TABLE headgate_events (project_id text); CREATE TABLE headgate_events_batches (batch_id text)"
    )
    assert "lacks the columns event_id, name" in (await once(asked, batch(event()))).message


async def test_a_table_without_the_key_is_named_as_the_fault(server, database):
    await database.execute("CREATE TABLE headgate_events (project_id text, event_id text)")
    answer = await once(make(server.url()), batch(event()))
    assert isinstance(answer, Misconfigured)
    assert "42P10" in answer.message


async def test_check_writes_nothing(server, database):
    await make(server.url()).check()
    assert await database.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://locked:wr0ng@/postgres?host={folder}", "28P01"),
        ("postgresql://postgres:s3cret@/nowhere?host={folder}", "3D000"),
        ("postgresql://nobody@/postgres?host={folder}", "28000"),
        ("mysql://x:s3cret@h/d", "not the URL"),
        ("env:ABSENT", "ABSENT"),
        ("file:/nowhere/s3cret", "cannot be read"),
    ],
)
async def test_what_a_person_must_correct_pauses_the_sink(server, database, url, said):
    sink = make(url.format(folder=server.folder / "data"))
    answer = await once(sink, batch(event()))
    assert isinstance(answer, Misconfigured)
    assert said in answer.message
    assert "wr0ng" not in answer.message
    assert "s3cret@" not in answer.message
    with pytest.raises(Misconfigured, match=said):
        await sink.check()


async def test_a_client_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    answer = await once(make("postgresql:///d"), batch(event()))
    assert isinstance(answer, Misconfigured)
    assert "headgate[postgres]" in answer.message
    with pytest.raises(Misconfigured, match="is not installed"):
        await make("postgresql:///d").check()


async def test_missing_rights_pause_the_sink(server, database):
    await database.execute("REVOKE ALL ON SCHEMA public FROM public; GRANT USAGE ON SCHEMA public TO reader")
    with pytest.raises(Misconfigured, match="grant CREATE"):
        await make(server.url("reader")).check()
    assert "42501" in (await once(make(server.url("reader")), batch(event()))).message
    assert await once(make(server.url()), batch(event(1))) == Result()
    with pytest.raises(Misconfigured, match="grant SELECT and INSERT"):
        await make(server.url("reader")).check()
    await database.execute(
        "GRANT SELECT, INSERT ON headgate_events TO reader;"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON headgate_events_batches TO reader"
    )
    # With those four rights and no other: nothing is to be made.
    assert await once(make(server.url("reader")), batch(event(2), number=2)) == Result()


async def test_a_connection_lost_is_tried_again_on_a_new_one(server, sink, database):
    assert await sink.write(batch(event(1))) == Result()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headgate db'"
    assert await database.fetchval(cut)
    outcomes = [await sink.write(batch(event(2), number=2)) for _ in range(2)]
    assert outcomes[-1] == Result()
    assert all(isinstance(outcome, Retry | Result) for outcome in outcomes)
    assert await ids(database) == ["e1", "e2"]


async def test_a_database_that_is_down_is_waited_for(server, tmp_path):
    answer = await once(make(f"postgresql:///d?host={tmp_path}"), batch(event()))
    assert isinstance(answer, Retry)
    assert isinstance(await once(make("postgresql://u:s3cret@127.0.0.1:9/d"), batch(event())), Retry)


async def test_a_lock_held_by_another_does_not_hold_the_sink_longer_than_its_timeout(server, database):
    assert await once(make(server.url()), batch(event(1))) == Result()
    async with database.transaction():
        await database.execute("LOCK TABLE headgate_events")
        assert isinstance(await once(make(server.url(), timeout=0.3), batch(event(2), number=2)), Retry)
    assert await ids(database) == ["e1"]


async def test_a_commit_is_on_disk_even_where_the_server_would_not_wait(server, database):
    await database.execute("ALTER ROLE postgres SET synchronous_commit = off")
    seen = "CREATE FUNCTION seen() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('synchronous_commit') $$"
    await database.execute(seen)
    try:
        await database.execute(
            "CREATE TABLE headgate_events (project_id text, event_id text, waits text DEFAULT seen(),"
            " PRIMARY KEY (project_id, event_id))"
        )
        assert await once(make(server.url()), batch(event(1))) == Result()
        assert await database.fetchval("SELECT waits FROM headgate_events") == "on"
    finally:
        await database.execute("ALTER ROLE postgres RESET synchronous_commit")


async def test_the_ledger_forgets_what_is_a_month_old(server, database):
    assert await once(make(server.url()), batch(event(1))) == Result()
    await database.execute("UPDATE headgate_events_batches SET write_time = now() - interval '31 days'")
    assert await once(make(server.url()), batch(event(2), number=2)) == Result()
    assert await database.fetchval("SELECT count(*) FROM headgate_events_batches") == 1


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("08006", Retry), ("40001", Retry), ("40P01", Retry), ("53100", Retry), ("53300", Retry), ("55P03", Retry),
        ("57014", Retry), ("57P01", Retry), ("57P03", Retry), ("25006", Retry), ("XX000", Retry), ("0A000", Retry),
        ("28000", Misconfigured), ("28P01", Misconfigured), ("3D000", Misconfigured), ("3F000", Misconfigured),
        ("42501", Misconfigured), ("42P01", Misconfigured), ("42703", Misconfigured), ("23503", Misconfigured),
    ],
)  # fmt: skip
def test_what_an_error_of_the_server_says(sqlstate, expected):
    assert isinstance(outcome_of(sqlstate, "m"), expected)


@pytest.mark.parametrize("table", ["", 'a"b', "a.b.c", "a b", "1a", "a" * 56, "a;--"])
def test_a_table_is_a_plain_name(table):
    with pytest.raises(ValidationError):
        PostgresConfig(url="env:A", table=table)


def test_a_row_without_a_nul_is_the_event_s_own():
    assert postgres_row(event(properties_json=rb'{"a":"\\u0000"}'))[-1] == r'{"a":"\\u0000"}'


def test_the_url_is_not_shown():
    assert "s3cret" not in repr(make("postgresql://u:s3cret@h/d").config)
