"""What the store's users may do over TCP: no file, no address, and of one project its own rows only."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import pytest
from headgate_service.store.access import Access, access_of, reader_password
from headgate_service.store.statement_guard import FUNCTIONS, TABLE_ENGINES, TABLE_FUNCTIONS, StatementGuard

SECRET = "the-text-of-a-secret-file"
# Of the test's own conftest.
Store = Any


@pytest.fixture(scope="module")
def open_store() -> Iterator[tuple[Store, Path]]:
    """A store with an address, events of two projects, and a folder beside it with a secret."""
    from tests.conftest import StoreProcess

    folder = Path(tempfile.mkdtemp(prefix="hg-acl-"))
    (folder / "secret").write_text(SECRET + "\n")
    store = StoreProcess(folder / "store", '[store]\naddress = "127.0.0.1:0"\n')
    store.start()
    asyncio.run(
        store.ask("INSERT INTO events (project_id, event_id) VALUES ('prj_a','1'), ('prj_a','2'), ('prj_b','3')")
    )
    asyncio.run(store.ask("CREATE TABLE mine (a String) ENGINE = MergeTree ORDER BY a"))
    yield store, folder
    store.kill()
    shutil.rmtree(folder, ignore_errors=True)


class Client:
    def __init__(self, store: Store, user: str) -> None:
        self.host, self.port = store.address
        key = (store.folder / "store.key").read_text()
        self.user = user
        self.password = key if user == "headgate" else reader_password(key, user)

    async def __call__(self, query: str, **address: str) -> tuple[int, str]:
        headers = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"http://{self.host}:{self.port}/", params=address, data=query.encode()) as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
def writer(open_store) -> Client:
    return Client(open_store[0], "headgate")


@pytest.fixture
def reader(open_store) -> Client:
    return Client(open_store[0], "reader")


@pytest.fixture
def project(open_store) -> Client:
    return Client(open_store[0], "prj_a")


WAYS = (
    "SELECT * FROM {name}('{folder}/secret', 'LineAsString')",
    "SELECT * FROM {large}('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM {quoted} /* ( */ ('{folder}/secret')",
    "SELECT $$'$$, (SELECT 1 FROM {name}('{folder}/secret'))",
    "INSERT INTO FUNCTION {name}('{folder}/out', 'TSV') SELECT 1",
    "INSERT INTO FUNCTION {name}('{folder}/out', 'TSV', 'a Int') VALUES (1)",
    "CREATE TABLE t AS {name}('{folder}/secret')",
    "CREATE VIEW v AS SELECT * FROM {name}('{folder}/secret')",
    "DESCRIBE TABLE {name}('{folder}/secret')",
)


@pytest.mark.parametrize("user", ["headgate", "reader", "prj_a"])
async def test_no_table_function_reads_or_writes_anything_outside(open_store, user: str):
    store, folder = open_store
    ask = Client(store, user)
    there = (await store.ask("SELECT name FROM system.table_functions")).split()
    refused = [name for name in there if name.lower() not in TABLE_FUNCTIONS]
    assert len(refused) > 70
    for name in refused:
        quoted = f"`\\x{ord(name[0]):02x}{name[1:]}`"
        for way in WAYS:
            statement = way.format(name=name, large=name.upper(), quoted=quoted, folder=folder)
            status, said = await ask(statement)
            assert status >= 400, (statement, said)
            assert SECRET not in said
            assert any(f"Code: {code}." in said for code in (497, 164, 62)), (statement, said)
    assert sorted(file.name for file in folder.iterdir()) == ["secret", "store"]


async def test_table_functions_that_make_rows_of_nothing_work(writer):
    assert await writer("SELECT sum(number) FROM numbers(4)") == (200, "6\n")
    assert await writer("SELECT * FROM values('a Int8', 1, 2)") == (200, "1\n2\n")
    assert await writer("SELECT count() FROM merge('headgate', '^events$')") == (200, "3\n")
    assert await writer("SELECT format('{}-{}', 'a', 'b'), 'file(1)', file FROM (SELECT 1 AS file)") == (
        200,
        "a-b\tfile(1)\t1\n",
    )


async def test_no_table_engine_reads_or_writes_anything_outside(open_store, writer):
    store, folder = open_store
    there = (await store.ask("SELECT name FROM system.table_engines")).split()
    refused = [name for name in there if name.lower() not in TABLE_ENGINES]
    assert len(refused) > 50
    for name in refused:
        for engine in (name, f"{name}('{folder}/secret')", f"`{name}`(TSV, '{folder}/secret')"):
            status, said = await writer(f"CREATE TABLE x (a String) ENGINE = {engine}")
            assert (status, "Code: 497." in said) == (403, True) or "Code: 62." in said, (engine, said)
    for name in ("MergeTree ORDER BY a", "Memory", "ReplacingMergeTree ORDER BY a"):
        assert await writer(f"CREATE TABLE x (a String) ENGINE = {name}") == (200, "")
        assert await writer("INSERT INTO x FORMAT TSV\na\n") == (200, "")
        assert await writer("DROP TABLE x") == (200, "")


STATEMENTS = [
    "SELECT file('{0}')", "SELECT `file`('{0}')", "SELECT \"fi\\x6ce\"('{0}')", "SELECT '{0}' AS p APPLY file",
    "SELECT * APPLY(file) FROM (SELECT '{0}')", "SELECT \u2018'\u2019, file('{0}')", "SELECT $a$'$a$, file('{0}')",
    "SELECT file /* ' */ ('{0}')", "SELECT 1 -- '\n, file('{0}')",
    "CREATE TABLE x (a String DEFAULT file('{0}')) ENGINE = Memory",
    "CREATE MATERIALIZED VIEW x ENGINE = Memory AS SELECT file('{0}') AS a FROM mine",
    "ALTER TABLE mine UPDATE a = file('{0}') WHERE 1",
    "CREATE TABLE x (a String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 'local', path = '{1}/')",
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{0}'",
    "SELECT 1 INTO OUTFILE '{1}/out'", "SELECT \u2018'\u2019 INTO OUTFILE '{1}/out'",
    "INSERT INTO mine FROM INFILE '{0}' FORMAT TSV", "BACKUP TABLE mine TO File('{1}/out')",
    "CREATE DICTIONARY d (a String) PRIMARY KEY a SOURCE(FILE(path '{0}' format 'TSV')) LAYOUT(DIRECT())",
    "CREATE DATABASE d ENGINE = Filesystem('{1}')", "CREATE FUNCTION f AS x -> file(x)",
    "ATTACH TABLE x FROM '{1}' (a String) ENGINE = Memory", "SYSTEM SHUTDOWN", "SYSTEM FLUSH LOGS",
    "CREATE USER u", "GRANT ALL ON *.* TO default", "SELECT * FROM system.users", "EXECUTE AS default SELECT 1",
    "CREATE NAMED COLLECTION c AS a = 1", "SELECT reverseDNSQuery('127.0.0.1')", "SELECT aiGenerate('x')",
]  # fmt: skip


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("user", ["headgate", "reader", "prj_a"])
async def test_no_other_way_leads_outside(open_store, user: str, statement: str):
    store, folder = open_store
    status, said = await Client(store, user)(statement.format(folder / "secret", folder))
    assert status >= 400, said
    assert SECRET not in said
    assert sorted(file.name for file in folder.iterdir()) == ["secret", "store"]


@pytest.mark.parametrize("setting", ["dialect", "format_template_resultset", "readonly", "additional_table_filters"])
async def test_settings_that_would_open_a_way_are_not_taken(writer, setting: str):
    assert (await writer("SELECT 1", **{setting: "0"}))[0] >= 400


@pytest.mark.parametrize("statement", [
    "INSERT INTO mine VALUES ('x')", "CREATE TABLE x (a String) ENGINE = Memory", "DROP TABLE mine",
    "TRUNCATE TABLE mine", "ALTER TABLE events DELETE WHERE 1", "KILL QUERY WHERE 1",
    "OPTIMIZE TABLE events", "INSERT INTO mine SELECT 'x'",
])  # fmt: skip
@pytest.mark.parametrize("user", ["reader", "prj_a"])
async def test_who_only_reads_changes_nothing(open_store, user: str, statement: str):
    store, _ = open_store
    assert (await Client(store, user)(statement))[0] >= 400
    assert await store.rows("SELECT count() AS n FROM events") == [{"n": 3}]
    assert await store.rows("SELECT count() AS n FROM mine") == [{"n": 0}]


async def test_a_reader_reads_all_and_a_project_its_own(reader, project):
    assert await reader("SELECT count() FROM events") == (200, "3\n")
    assert await reader("SELECT count() FROM mine") == (200, "0\n")
    for counted in ("count()", "count(event_id)", "uniqExact(event_id)", "sum(1)"):
        for source in ("events", "headgate.events", "view(SELECT * FROM events)", "(SELECT * FROM events)"):
            assert await project(" ".join(("SELECT", counted, "FROM", source))) == (200, "2\n")
    assert await project("SELECT max(project_id), min(project_id) FROM events") == (200, "prj_a\tprj_a\n")
    assert await project("SELECT count() FROM events WHERE project_id = 'prj_b' OR 1") == (200, "2\n")
    assert await project("SELECT count() FROM events AS a JOIN events AS b ON 1 = 1") == (200, "4\n")
    assert await project("SELECT event_id FROM events ORDER BY 1", max_threads="1") == (200, "1\n2\n")


@pytest.mark.parametrize("statement", [
    "SELECT count() FROM events SETTINGS additional_table_filters = {}", "SET ROLE headgate_all",
    "SELECT * FROM mine", "SELECT * FROM headgate_retention", "SELECT count() FROM merge('headgate', 'events')",
    "SELECT * FROM mergeTreeIndex('headgate', 'events')", "SELECT query FROM system.processes",
    "SELECT total_rows FROM system.tables WHERE name = 'events'", "SELECT rows FROM system.parts",
    "SELECT total_rows FROM information_schema.tables WHERE table_name = 'events'",
])  # fmt: skip
async def test_nothing_of_other_projects_is_told_to_one(project, statement: str):
    status, said = await project(statement)
    assert status >= 400 or not said.strip(), said


def test_the_unmodified_client_reads_as_a_project(open_store):
    store, _ = open_store
    client = Client(store, "prj_a")
    place = {"host": client.host, "port": client.port, "username": "prj_a", "password": client.password}
    one = clickhouse_connect.get_client(**place, database="headgate")
    asked = "SELECT count() FROM events WHERE event_id != {x:String}"
    assert one.query(asked, parameters={"x": "1"}).first_row == (1,)


def test_a_password_is_that_of_one_user():
    key = "k" * 43
    assert access_of("headgate", key, key) is not None
    assert access_of("reader", reader_password(key, "reader"), key) is not None
    assert access_of("prj_a", reader_password(key, "prj_a"), key) is not None
    for user, password in (
        ("prj_b", reader_password(key, "prj_a")), ("headgate", reader_password(key, "headgate")), ("prj_a", key),
        ("reader", reader_password(key, "prj_a")), ("nobody", key), ("", ""), ("reader", ""), ("headgate", "\u00e9"),
    ):  # fmt: skip
        assert access_of(user, password, key) is None


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_that_is_refused_is_refused_however_it_is_called(name: str):
    guard = StatementGuard([])
    for said in ("SELECT {0}('x')", "SELECT `{0}` ('x')", "SELECT * APPLY {0} FROM t"):
        assert name in guard.fault(said.format(name), Access("headgate_writer"))
    said = "SELECT '{0}(', `{0}`, {0} + 1 FROM t"
    assert not guard.fault(said.format(name), Access("headgate_writer"))
