"""The embedded engine, the tables of the store in it, and what an insert of anything does to them."""

import json
from functools import partial
from pathlib import Path

import pytest
from headgate_service.store.client import written
from headgate_service.store.engine import Engine, EngineError, quoted_name
from headgate_service.store.schema import INSERT_SETTINGS, MIGRATIONS, Migration, migrate
from headgate_sinks.transport.clickhouse import quoted

STRINGS = [
    "",
    "a'b",
    "\\",
    "\\n",
    "\n\t\r\0\b\f",
    "ü\U0001f600",
    "');DROP TABLE events --",
    "{x:String}",
    "NULL",
    "\\N",
]
HOSTILE = [
    b'{"a.b":1,"a":{"b":2}}', b'{"":1,"a":{"":{"":2}}}', b'{"n":18446744073709551615,"m":-9223372036854775808}',
    b'{"i":123456789012345678901234567890}', b'{"x":[1,"a",null,{"b":[[]]}]}', b'{"x":' * 32 + b"1" + b"}" * 32,
    b'{"k":1,"k":{"l":2}}', b'{"a":1,"a":{"b":1},"a.b":3}',
    b'{".":1,"..":2,"a.":3,".a":4,"%2E":5}', b'{"\\u0000":"\\u0000"}',
    b"", b"[1]", b'"s"', b"null", b'{"x',
    b'{"u":"\\ud800"}', b'{"f":1e300,"g":1e-320}', b'{"x":NaN}', b'{"x":1e999}', b"\xff",
    b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(2000)) + b"}",
    b"{" + b",".join(b'"%%%d":"%%%d"' % (n, n) for n in range(2000)) + b"}",
]  # fmt: skip


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


@pytest.fixture
def written_raw(store_engine: Engine):
    """Inserts events of project p with these properties, and gives what the engine made of them, by number."""

    def insert(*properties: bytes) -> list[dict[str, object]]:
        data = b"".join(text(b"p") + text(b"%03d" % n) + text(raw) for n, raw in enumerate(properties))
        statement = "INSERT INTO events (project_id, event_id, properties_raw)"
        store_engine.insert(statement, "RowBinary", data, INSERT_SETTINGS)
        settings = {"json_type_escape_dots_in_keys": "1", "output_format_json_quote_64bit_integers": "0"}
        found = store_engine.query("SELECT properties FROM events ORDER BY event_id FORMAT JSONEachRow", None, settings)
        return [json.loads(line)["properties"] for line in found.splitlines()]

    return insert


@pytest.mark.parametrize("value", STRINGS)
def test_a_parameter_arrives_as_it_is(store_engine: Engine, value: str):
    asked = "SELECT {x:String} AS x, {y:Array(String)} AS y FORMAT JSONEachRow"
    answer = json.loads(store_engine.query(asked, {"x": written(value), "y": written([value, "b"])}))
    assert answer == {"x": value, "y": [value, "b"]}
    assert store_engine.query(f"SELECT {quoted(value)} = {{x:String}}", {"x": written(value)}) == b"1\n"


def test_numbers_and_lists_of_them_are_parameters(store_engine: Engine):
    given = {"x": written(-(2**63)), "y": written([0.1, 1e300]), "z": written([]), "w": written(True)}
    asked = "SELECT {x:Int64}, {y:Array(Float64)}, {z:Array(Int64)}, {w:UInt8}"
    assert store_engine.query(asked, given) == b"-9223372036854775808\t[0.1,1e300]\t[]\t1\n"


def test_no_properties_fail_an_insert(store_engine: Engine, written_raw):
    made = written_raw(*HOSTILE)
    assert len(made) == len(HOSTILE)
    assert store_engine.query("SELECT count(), uniqExact(properties_raw) FROM events") == b"%d\t%d\n" % (
        (len(HOSTILE),) * 2
    )


def test_properties_keep_their_types_and_their_dots(store_engine: Engine, written_raw):
    assert written_raw(
        b'{"a.b":1,"a":{"b":2}}', b'{"d":"2026-01-01","t":"2026-01-01 00:00:00","n":"5","i":9007199254740993}'
    )
    settings = {"json_type_escape_dots_in_keys": "1"}
    asked = (
        "SELECT getSubcolumn(properties, 'a%2Eb'), properties.a.b, dynamicType(properties.d),"
        " dynamicType(properties.t), dynamicType(properties.n), properties.i FROM events ORDER BY event_id"
    )
    first, second = store_engine.query(asked, None, settings).splitlines()
    assert first.split(b"\t")[:2] == [b"1", b"2"]
    assert second.split(b"\t")[2:] == [b"String", b"String", b"String", b"9007199254740993"]


def test_a_token_is_remembered(store_engine: Engine):
    settings = {**INSERT_SETTINGS, "insert_deduplication_token": "b-1"}
    for _ in range(2):
        store_engine.insert("INSERT INTO events (project_id)", "RowBinary", text(b"p"), settings)
    assert store_engine.query("SELECT count() FROM events") == b"1\n"


def test_a_migration_runs_once_and_again_where_it_was_cut_off(tmp_path: Path):
    ran: list[str] = []
    done = 0

    def run(statement: str) -> bytes:
        nonlocal done
        ran.append(statement)
        if statement == "BROKEN":
            raise EngineError("Code: 1. ")
        done += statement.startswith("INSERT")
        return b"%d\n" % done

    cut_off = [Migration(1, ("A",)), Migration(2, ("B", "BROKEN"))]
    with pytest.raises(EngineError):
        migrate(run, cut_off)
    ran.clear()
    assert migrate(run, [cut_off[0], Migration(2, ("B", "C"))]) == 1
    assert [one for one in ran if one in "ABC"] == ["B", "C"]
    assert migrate(run, [cut_off[0], Migration(2, ("B", "C"))]) == 0


def test_a_store_that_is_up_to_date_is_left_alone(store_engine: Engine):
    assert migrate(store_engine.query) == 0
    assert store_engine.query("SELECT max(number) FROM headgate_migrations") == b"%d\n" % len(MIGRATIONS)


@pytest.mark.parametrize("before", [0, 3], ids=["new", "older"])
def test_merged_parts_are_synced_and_the_parts_before_them_kept_for_a_while(store_engine: Engine, before: int):
    database = f"synced{before}"
    store_engine.query(f"CREATE DATABASE {database}")
    run = partial(store_engine.query, database=database)
    try:
        migrate(run, MIGRATIONS[:before])
        migrate(run)
        asked = "SELECT engine_full FROM system.tables WHERE database = {d:String} AND name = {t:String}"
        for table in ("events", "headgate_retention", "headgate_erased", "headgate_settled_parts"):
            engine = run(asked, {"d": database, "t": table})
            for setting in (
                "fsync_after_insert = 1",
                "fsync_part_directory = 1",
                "min_rows_to_fsync_after_merge = 1",
                "min_compressed_bytes_to_fsync_after_merge = 1",
                "old_parts_lifetime = 480",
            ):
                assert setting in engine.decode(), f"{table}: {setting}"
    finally:
        store_engine.query(f"DROP DATABASE {database}")


def test_events_of_an_older_store_have_the_hash_that_users_are_counted_by(store_engine: Engine):
    store_engine.query("CREATE DATABASE older")
    run = partial(store_engine.query, database="older")
    try:
        migrate(run, MIGRATIONS[:2])
        insert = "INSERT INTO events (project_id, distinct_id, ts) VALUES "
        run(insert + "('p', 'ann', '2026-01-02 03:04:05.678'), ('p', '', 0)")
        assert migrate(run) == len(MIGRATIONS) - 2
        run(insert + "('p', 'ann', '2026-01-02 03:04:05.678'), ('p', 'bob', 0)")
        for _ in ("in the parts of both", "merged"):
            counted = run("SELECT uniqExact(distinct_hash), countIf(distinct_hash = 0), max(ts) FROM events")
            assert counted == b"3\t1\t2026-01-02 03:04:05.678\n"
            run("OPTIMIZE TABLE events FINAL")
    finally:
        store_engine.query("DROP DATABASE older")


def test_an_error_has_the_number_that_clickhouse_gives_it(store_engine: Engine):
    for statement, settings, code in (
        ("SELECT (", {}, 62),
        ("SELECT * FROM nowhere", {}, 60),
        ("SELECT 1", {"no_such_setting": "1"}, 115),
        ("SELECT 1", {"max_threads = 1, x": "1"}, 115),
        ("SELECT 1", {"max_threads": "1'"}, 27),
    ):
        with pytest.raises(EngineError) as caught:
            store_engine.query(statement, None, settings)
        assert caught.value.code == code
    with pytest.raises(EngineError):
        store_engine.query("SELECT 1", database="no`where")
    assert quoted_name("a`b\\") == "`a\\`b\\\\`"
