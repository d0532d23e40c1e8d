"""The tables of the store, in the dialect of ClickHouse, as a list of migrations that only ever grows.

A server has no transactions over such statements: each can be run again, and a migration counts as done only once all
of its statements are. Statements name no database: the connection's is meant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

TABLE = "events"
MIGRATIONS_TABLE = "headgate_migrations"
RETENTION_TABLE = "headgate_retention"
ERASED_TABLE = "headgate_erased"
SETTLED_PARTS_TABLE = "headgate_settled_parts"

DYNAMIC_PATHS = 128
"""Property paths that get a column of their own in a part; more are kept together, where reading one costs more."""

PROPERTIES_TYPE = f"JSON(max_dynamic_paths={DYNAMIC_PATHS})"

INSERTS_REMEMBERED = 100_000
"""Inserts whose tokens a table that is not replicated remembers: at one a second, more than a day."""

OLD_PARTS_SECONDS = 480
"""How long the parts that a merge replaced stay on disk."""

INSERT_SETTINGS = {
    # Answered once the rows are in the table.
    "async_insert": "0",
    "insert_deduplicate": "1",
    # A batch is one block: in several it would be several inserts.
    "input_format_parallel_parsing": "0",
    "max_insert_block_size": "1000000",
    # A key with a dot is a path of its own, with %2E in it, and not that of a nested one; what is twice all the same,
    # as an object and as a value, fails no insert.
    "json_type_escape_dots_in_keys": "1",
    "type_json_skip_duplicated_paths": "1",
    # Strings stay strings: "2026-01-01" is not a date, and "5" is not 5.
    "input_format_try_infer_dates": "0",
    "input_format_try_infer_datetimes": "0",
}
"""What every insert into `events` is sent with; its token comes to it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """Statements that bring a store from the state before `number` to the next. Each may be run twice."""

    number: int
    statements: tuple[str, ...]


# `properties` is made of `properties_raw` by the engine. Other values become an empty object, and never fail
# an insert. `ts` is when it happened, by which everything is asked; `receive_time` and `event_id` name the event.
_EVENTS = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    project_id LowCardinality(String),
    event LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    receive_time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    distinct_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    anonymous_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    test Bool,
    dialect LowCardinality(String),
    weight Float64 DEFAULT 1 CODEC(ZSTD(1)),
    page_href String CODEC(ZSTD(1)),
    page_domain LowCardinality(String),
    page_path String CODEC(ZSTD(1)),
    page_title String CODEC(ZSTD(1)),
    page_canonical_url String CODEC(ZSTD(1)),
    page_referrer String CODEC(ZSTD(1)),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign String CODEC(ZSTD(1)),
    utm_term String CODEC(ZSTD(1)),
    utm_content String CODEC(ZSTD(1)),
    user_agent String CODEC(ZSTD(1)),
    client_ip String CODEC(ZSTD(1)),
    method LowCardinality(String),
    sdk_name LowCardinality(String),
    sdk_version LowCardinality(String),
    sdk_runtime LowCardinality(String),
    experiment_id String CODEC(ZSTD(1)),
    variant_id String CODEC(ZSTD(1)),
    conversion Bool,
    properties_raw String CODEC(ZSTD(1)),
    properties {PROPERTIES_TYPE} DEFAULT accurateCastOrDefault(properties_raw, '{PROPERTIES_TYPE}') CODEC(ZSTD(1)),
    INDEX received receive_time TYPE minmax GRANULARITY 1,
    INDEX happened ts TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(receive_time)
ORDER BY (project_id, event, toDate(ts), distinct_id, ts)
SETTINGS
    non_replicated_deduplication_window = {INSERTS_REMEMBERED},
    fsync_after_insert = 1,
    fsync_part_directory = 1
"""

_STRING = r'"(?:[^"\\\\]|\\\\.)*"'
_KEY_WITH_PERCENT = r'(%|u0025)(?:[^"\\\\]|\\\\.)*"\\s*:'
_TOKENS = rf'{_STRING}\\s*:?|[^"]+'


def escaped_keys(raw: str) -> str:
    """SQL of the JSON text `raw` with `%25` for each percent sign of its keys, however it is written. The engine
    writes `%2E` for a dot within a key, and so no key is taken for another. Few texts have such keys."""
    # Backslashes by their number, so that what begins with one is an escape.
    key = r"replaceAll(replaceAll(replaceAll(token, '\\\\', '\\u005c'), '\\u0025', '%'), '%', '%25')"
    tokens = f"""arrayMap(token -> if(startsWith(token, '"') AND endsWith(token, ':'), {key}, token),"""
    return f"""if(match({raw}, '{_KEY_WITH_PERCENT}'),
        arrayStringConcat({tokens} extractAll({raw}, '{_TOKENS}'))), {raw})"""


# Rows from before keep their paths. Only rows that come later are written by this.
_ESCAPED_PERCENTS = (
    f"ALTER TABLE {TABLE} MODIFY COLUMN properties {PROPERTIES_TYPE}"
    f" DEFAULT accurateCastOrDefault({escaped_keys('properties_raw')}, '{PROPERTIES_TYPE}') CODEC(ZSTD(1))"
)

# The row with the last `since` counts. No days: for good.
_RETENTION = f"""
CREATE TABLE IF NOT EXISTS {RETENTION_TABLE} (
    project_id String,
    days UInt32,
    since DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(since) ORDER BY project_id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""

# Users are counted by 128 bits of a hash of their id, which is what uniqExact itself makes of a text, each time it
# reads one. Times within a day are as good as random: T64 leaves out the bits that are the same in all, and is read
# four times as fast. Parts that were written before have the column made as it is read, until they are merged.
_QUICKER = (
    f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS distinct_hash UInt128"
    " MATERIALIZED if(distinct_id = '', 0, reinterpretAsUInt128(sipHash128(distinct_id))) CODEC(LZ4) AFTER distinct_id",
    f"ALTER TABLE {TABLE} MODIFY COLUMN ts DateTime64(3, 'UTC') CODEC(T64, LZ4),"
    " MODIFY COLUMN receive_time DateTime64(3, 'UTC') CODEC(T64, LZ4),"
    " MODIFY COLUMN page_path String CODEC(LZ4)",
)

# A merge or a mutation writes a new part and drops the old ones, which were synced when they were inserted. The new
# part is synced too, and the old ones stay on disk for a while: a power cut after a merge loses no row.
_SYNCED_MERGES = tuple(
    f"ALTER TABLE {table} MODIFY SETTING min_rows_to_fsync_after_merge = 1,"
    f" min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = {OLD_PARTS_SECONDS}"
    for table in (TABLE, RETENTION_TABLE)
)

# What was deleted on purpose is not missing; nor is a damaged part once its rows are back, or given up.
_SYNCED = (
    "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,"
    f" min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = {OLD_PARTS_SECONDS}"
)
_CHECKED = (
    f"CREATE TABLE IF NOT EXISTS {ERASED_TABLE} (project_id String, hour UInt32, events UInt64)"
    f" ENGINE = MergeTree ORDER BY (project_id, hour) {_SYNCED}",
    f"CREATE TABLE IF NOT EXISTS {SETTLED_PARTS_TABLE} (part String, since DateTime64(3, 'UTC') DEFAULT now64(3))"
    f" ENGINE = MergeTree ORDER BY part {_SYNCED}",
)

# What no other column of an event can tell, so that it can be replayed as it was.
_REPLAYED = (f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS rest String CODEC(ZSTD(1)) AFTER properties_raw",)

MIGRATIONS = (
    Migration(1, (_EVENTS,)),
    Migration(2, (_RETENTION,)),
    Migration(3, _QUICKER),
    Migration(4, _SYNCED_MERGES),
    Migration(5, (_ESCAPED_PERCENTS,)),
    Migration(6, _CHECKED),
    Migration(7, _REPLAYED),
)
"""In order of their numbers, which have no gaps."""


Run = Callable[[str], bytes]
"""Runs a statement and gives its answer, as TabSeparated."""

PREPARE = (
    f"CREATE TABLE IF NOT EXISTS {MIGRATIONS_TABLE} (number UInt32, applied DateTime DEFAULT now())"
    " ENGINE = MergeTree ORDER BY number SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
)


def migrate(run: Run, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Runs what the store lacks, and returns how many migrations that were. Any number of processes may do so at once.

    Raises what `run` raises.
    """
    run(PREPARE)
    answer = run(f"SELECT max(number) FROM {MIGRATIONS_TABLE} FORMAT TabSeparated")  # noqa: S608 (a constant)
    lacking = [migration for migration in migrations if migration.number > int(answer)]
    for migration in lacking:
        for statement in migration.statements:
            run(statement)
        run(f"INSERT INTO {MIGRATIONS_TABLE} (number) VALUES ({migration.number})")  # noqa: S608 (a number of ours)
    return len(lacking)
