"""The store's HTTP protocol, as ClickHouse's own client and plain requests see it."""

import asyncio
import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import clickhouse_connect
import lz4.frame
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError
from headgate_service.store.client import QueryRefused, QueryTooLarge, QueryTooSlow, Store, StoreUnavailable
from headgate_service.store.config import Config
from headgate_service.store.http_coding import ENCODERS, BodyBroken, BodyTooLarge, CodingUnknown, decoded
from headgate_service.store.statement import read_statement

FOREVER = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


@pytest.fixture
async def session(store):
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(store.socket))) as session:
        yield session


@pytest.fixture
async def queries(store):
    client = Store(store.url)
    yield client
    await client.close()


def test_the_unmodified_client_of_clickhouse_works(own_store: Callable):
    store = own_store('[store]\naddress = "127.0.0.1:0"\n')
    host, port = store.address
    password = (store.folder / "store.key").read_text()
    assert (store.folder / "store.key").stat().st_mode & 0o777 == 0o600

    def client(**given: object):
        place = {"host": host, "port": port, "username": "headgate", "password": password, "database": "headgate"}
        return clickhouse_connect.get_client(**{**place, **given})

    with pytest.raises(DatabaseError, match="516"):
        client(password="wr0ng")
    one = client()
    one.command("CREATE TABLE t (a UInt64, s String, n Nullable(Int32), l Array(String)) ENGINE = MergeTree ORDER BY a")
    # More than one block, each compressed by itself.
    rows = [[n, f"x{n}", None if n % 2 else n, ["a", "b'"]] for n in range(70_000)]
    one.insert("t", rows, column_names=["a", "s", "n", "l"])
    assert one.query("SELECT count(), sum(a), count(n) FROM t").first_row == (70_000, sum(range(70_000)), 35_000)
    for coding in ("lz4", "zstd", "gzip", "br", False):
        other = client(compress=coding)
        other.insert("t", [[1, "c", None, []]], column_names=["a", "s", "n", "l"])
        assert len(other.query("SELECT * FROM t LIMIT 1000").result_rows) == 1000
    assert one.command("SELECT count() FROM t WHERE s = 'c'") == 5
    hostile = {"x": ["a'b", "\\", "\n"], "y": "q'\\\n\t"}
    assert one.query("SELECT {x:Array(String)}, {y:String}", parameters=hostile).first_row == tuple(hostile.values())
    with one.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum(map(len, blocks)) == 300_000
    with pytest.raises(DatabaseError, match="UNKNOWN_IDENTIFIER"):
        one.query("SELECT nope FROM t")
    with pytest.raises(DatabaseError):
        one.insert("t", [[1, "c"]], column_names=["a", "nope"])
    assert one.query("SELECT 1").summary["read_rows"] == "1"


def test_an_address_without_a_password_is_not_served(tmp_path: Path):
    with pytest.raises(ValueError, match="password"):
        Config(folder=tmp_path, socket=tmp_path / "s", host="127.0.0.1", password="")
    assert Config(folder=tmp_path, socket=tmp_path / "s").host is None


@pytest.mark.parametrize("left", [0, 10])
def test_a_password_file_that_was_cut_short_opens_no_port(own_store: Callable, left: int):
    store = own_store('[store]\naddress = "127.0.0.1:0"\n')
    store.kill()
    os.truncate(store.folder / "store.key", left)
    with pytest.raises(
        pytest.fail.Exception, match=f"headgate: {store.folder / 'store.key'} is .*: put its copy of a backup back"
    ):
        store.start()


async def test_a_query_runs_on_several_cores(queries: Store):
    plan = "EXPLAIN PIPELINE SELECT max(sipHash64(number)) FROM numbers_mt(100000000)"
    assert b"NumbersRange \xc3\x97 4" in await queries.command(plan, settings={"max_threads": "4"})


async def test_a_statement_stands_in_the_address_or_the_body(session):
    async def ask(body: bytes | None = None, **address: str) -> tuple[int, str]:
        async with session.post("http://s/", params=address, data=body) as answer:
            return answer.status, await answer.text()

    assert await ask(query="SELECT 1") == (200, "1\n")
    assert await ask(b"SELECT 1") == (200, "1\n")
    assert await ask(b" + 1", query="SELECT 1") == (200, "2\n")
    assert await ask(b"SELECT {x:String}", param_x="\\'a") == (200, "\\'a\n")
    assert await ask(b'{"project_id":"a"}', query="INSERT INTO events (project_id) FORMAT JSONEachRow") == (200, "")
    assert await ask(b"INSERT INTO events (project_id) FORMAT TSV\nb\nc\n") == (200, "")
    assert await ask(b"INSERT INTO events (project_id) SETTINGS max_threads = 1 VALUES ('d')") == (200, "")
    assert await ask(b"SELECT project_id FROM events ORDER BY 1", default_format="CSV") == (200, '"a"\n"b"\n"c"\n"d"\n')
    assert await ask(b"SELECT currentDatabase()", database="default") == (200, "default\n")
    assert await ask(b"SELECT getSetting('max_threads')", max_threads="7") == (200, "7\n")
    async with session.get("http://s/ping") as answer:
        assert await answer.text() == "Ok.\n"


@pytest.mark.parametrize(
    ("query", "settings", "status", "code"),
    [
        ("SELECT (", {}, 400, 62), ("", {}, 400, 62), ("SELECT 1; SELECT 2", {}, 400, 62),
        ("SELECT * FROM nowhere", {}, 404, 60), ("SELECT 1", {"database": "nowhere"}, 404, 81),
        ("SELECT 1", {"no_such": "1"}, 404, 115), ("SELECT {x:UInt8}", {"param_x": "a"}, 400, 457),
        ("SELECT {x:UInt8}", {}, 400, 456),
        (FOREVER, {"max_execution_time": "0.3"}, 408, 159),
        ("SELECT groupArray(number) FROM numbers(1000000000)", {"max_memory_usage": "10000000"}, 500, 241),
        ("INSERT INTO events (project_id) FROM INFILE '/etc/passwd' FORMAT TSV", {}, 501, 48),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", {}, 501, 48), ("SELECT 1", {"compress": "1"}, 501, 48),
        ("INSERT INTO events (weight) FORMAT TSV\nx\n", {}, 400, 72),
    ],
)  # fmt: skip
async def test_an_error_has_clickhouse_s_number_text_and_status(session, query, settings, status, code):
    async with session.post("http://s/", params=settings, data=query.encode()) as answer:
        text = await answer.text()
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
        assert text.startswith(f"Code: {code}. DB::Exception: ")
        assert "(version 26" in text


async def test_get_changes_nothing(session):
    for query, status in (
        ("SELECT 1", 200),
        ("SHOW TABLES", 200),
        ("DROP TABLE events", 500),
        ("SYSTEM SHUTDOWN", 500),
    ):
        async with session.get("http://s/", params={"query": query}) as answer:
            assert answer.status == status


async def test_an_insert_that_cannot_be_written_says_so(store, session):
    await store.ask("ALTER TABLE events ADD CONSTRAINT fault CHECK project_id != 'no'")
    insert = {"query": "INSERT INTO events (project_id) FORMAT TSV"}
    async with session.post("http://s/", params=insert, data=b"yes\nno\n") as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "469"
    assert await store.rows("SELECT count() AS n FROM events") == [{"n": 0}]


async def test_an_answer_is_compressed_where_that_is_asked_for(session):
    decoders = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress}
    decoders["zstd"] = lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)
    expected = "".join(f"{n}\n" for n in range(200_000)).encode()
    for coding, decode in decoders.items():
        headers = {"Accept-Encoding": coding}
        address = {"query": "SELECT number FROM numbers(200000)", "enable_http_compression": "1"}
        async with session.get("http://s/", params=address, headers=headers, auto_decompress=False) as answer:
            assert answer.headers["Content-Encoding"] == coding
            assert decode(await answer.read()) == expected
    async with session.get("http://s/", params={"query": "SELECT 1"}, headers={"Accept-Encoding": "gzip"}) as answer:
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_body_is_whole_or_refused(coding):
    parts = [b"a" * 100_000, b"b" * 10]
    encoder = ENCODERS[coding]()
    whole = encoder.compress(parts[0]) + encoder.compress(parts[1]) + encoder.finish()
    assert decoded(whole, coding, 200_000) == b"".join(parts)
    if coding != "br":
        # As clients send one block after another.
        assert decoded(whole + whole, coding, 300_000) == b"".join(parts) * 2
    for broken in (whole[:-3], b"nonsense", whole[: len(whole) // 2]):
        with pytest.raises(BodyBroken):
            decoded(broken, coding, 200_000)
    with pytest.raises(BodyTooLarge):
        decoded(whole, coding, 50_000)
    with pytest.raises(CodingUnknown):
        decoded(whole, "snappy", 1)


@pytest.mark.parametrize(
    ("source", "text", "rest", "form", "rows"),
    [
        (b"INSERT INTO t (a) FORMAT CSV\n1", b"INSERT INTO t (a) ", b"", "CSV", b"1"),
        (b"insert into t format RowBinary \r\n\n\0", b"insert into t ", b"", "RowBinary", b"\n\0"),
        (b"/* FORMAT x */ INSERT INTO `FORMAT` (\"VALUES\") FORMAT TSV a", None, b"", "TSV", b"a"),
        (b"INSERT INTO t SETTINGS a = 'FORMAT x', b = 2 FORMAT TSV\na", b"INSERT INTO t ", None, "TSV", b"a"),
        (b"INSERT INTO t (a, b) VALUES (1, 'FORMAT')", b"INSERT INTO t (a, b) ", b"", "Values", b"(1, 'FORMAT')"),
        (b"INSERT INTO t", b"INSERT INTO t", b"", None, b""),
    ],
)  # fmt: skip
def test_where_an_insert_s_rows_begin(source, text, rest, form, rows):
    found = read_statement(source)
    assert found.inserts
    assert found.form == form
    assert source[found.rows :] == rows
    assert text is None or found.text == text
    assert rest is None or found.rest == rest


def test_what_is_no_insert_of_rows():
    for source in (b"INSERT INTO t SELECT 'VALUES' FORMAT Null", b"SELECT 1", b"", b"-- nothing", b"(SELECT 1)"):
        assert not read_statement(source).inserts
    assert read_statement(b"SELECT (SELECT 'a' AS FORMAT), 'FORMAT x' -- FORMAT y\n FORMAT JSON").form == "JSON"


async def test_a_query_that_nobody_waits_for_ends(store, session):
    with pytest.raises(TimeoutError):
        async with session.post("http://s/", data=FOREVER, timeout=aiohttp.ClientTimeout(total=0.5)):
            pass
    ends = time.monotonic() + 20
    running = (
        "SELECT count() AS n FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    )
    while await store.rows(running) != [{"n": 0}]:
        assert time.monotonic() < ends, "the query still runs"


async def test_inserts_do_not_wait_for_queries(store, session):
    # As many as run at once, and more that wait.
    asked = [asyncio.create_task(session.post("http://s/", data=FOREVER).__aenter__()) for _ in range(6)]
    try:
        await asyncio.sleep(0.5)
        await asyncio.wait_for(store.ask("INSERT INTO events (project_id) FORMAT TSV", b"a\n"), 20)
        assert not any(task.done() for task in asked)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert await store.rows("SELECT count() AS n FROM events") == [{"n": 1}]


async def test_the_client_gives_rows_and_typed_errors(queries):
    sql = "SELECT number + {n:UInt64}, {s:String}, {l:Array(String)} FROM numbers(2)"
    given = {"n": 2**63, "s": "a'\\\n\t\0ü", "l": ["x'", "\\N", "\n"]}
    assert await queries.query(sql, given) == [[2**63 + n, given["s"], given["l"]] for n in range(2)]
    assert await queries.query("SELECT 1 WHERE 0") == []
    for error, wrong, settings in (
        (QueryRefused, "SELECT nope", {}),
        (QueryTooSlow, FOREVER, {"max_execution_time": "0.2"}),
        (QueryTooLarge, "SELECT groupArray(number) FROM numbers(1000000000)", {"max_memory_usage": "10000000"}),
        (QueryTooLarge, "SELECT number FROM numbers(100)", {"max_result_rows": "10"}),
    ):
        with pytest.raises(error):
            await queries.query(wrong, None, settings)
    with pytest.raises(StoreUnavailable):
        await Store("unix:/nowhere/store.sock").query("SELECT 1")


async def test_kill_9_during_inserts_loses_and_doubles_nothing(own_store: Callable):
    store = own_store()
    done: list[int] = []
    lock = threading.Lock()

    async def insert(number: int) -> None:
        rows = b"".join(b"%d\t%d-%d\n" % (number, number, row) for row in range(200))
        while True:
            try:
                query = "INSERT INTO events (project_id, event_id) FORMAT TSV"
                await store.ask(query, rows, insert_deduplication_token=f"batch-{number}")
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.05)
                continue
            with lock:
                done.append(number)
            return

    for life in range(3):
        inserting = [asyncio.create_task(insert(life * 100 + n)) for n in range(12)]
        while len(done) < life * 12 + 3:
            await asyncio.sleep(0.005)
        store.kill()
        acknowledged = set(done)
        await asyncio.to_thread(store.start)
        found = await store.rows("SELECT DISTINCT project_id AS n FROM events")
        assert acknowledged <= {int(str(row["n"])) for row in found}
        await asyncio.gather(*inserting)
    rows = await store.rows("SELECT project_id AS n, count() AS all, uniqExact(event_id) AS ids FROM events GROUP BY 1")
    assert sorted((int(str(row["n"])), row["all"], row["ids"]) for row in rows) == [(n, 200, 200) for n in sorted(done)]


def test_it_ends_at_sigterm_with_a_query_under_way(own_store: Callable):
    store = own_store()

    async def ask() -> int:
        session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(store.socket)))
        async with session, session.post("http://s/", data=FOREVER) as answer:
            return answer.status

    async def both() -> int:
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.3)
        code = await asyncio.to_thread(store.end)
        assert (await asyncio.gather(asking, return_exceptions=True))[0] != 200
        return code

    assert asyncio.run(both()) == 0
    assert json.dumps(store.log).count("Traceback") == 0
