"""The table of a clickhouse sink: the statements that make, widen and fill it, and its rows."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from headgate.v1 import event_pb2

from headgate_sinks.formats.event_row import COLUMNS, Column, event_row

WINDOW = 100_000
"""Inserts that a table made by the sink remembers."""

# What DateTime64(6) can tell.
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_LAST = datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_TYPES = {"text": "String", "time": "DateTime64(6, 'UTC')", "flag": "Bool", "number": "Float64", "json": "String"}
# An absent text is empty; these are in the table's order or partition, or are always there.
_PLAIN = ("occur_time", "receive_time", "sample_weight")
_FEW_VALUES = (
    "project_id",
    "name",
    "dialect",
    "page_domain",
    "request_method",
    "sdk_name",
    "sdk_version",
    "sdk_runtime",
)
_WINDOW_SET = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")

INSERT_SETTINGS: Mapping[str, str] = {
    # With an answer only once the rows are written.
    "async_insert": "0",
    "wait_end_of_query": "1",
    "insert_deduplicate": "1",
    # In several blocks a batch would be several inserts.
    "input_format_parallel_parsing": "0",
    "date_time_input_format": "basic",
}


@dataclass(frozen=True, slots=True)
class EventTable:
    """A table of events; the names are plain ones."""

    database: str
    name: str

    @property
    def quoted(self) -> str:
        return f"`{self.database}`.`{self.name}`"

    def creation(self) -> str:
        columns = ", ".join(map(_definition, COLUMNS))
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted} ({columns}) ENGINE = MergeTree"
            " PARTITION BY toYYYYMM(receive_time) ORDER BY (project_id, name, occur_time, event_id)"
            f" SETTINGS non_replicated_deduplication_window = {WINDOW}"
        )

    def widening(self, present: Collection[str]) -> str | None:
        """Adds the columns that a table with those `present` lacks; None where it lacks none."""
        lacking = [column for column in COLUMNS if column.name not in present]
        if not lacking:
            return None
        return f"ALTER TABLE {self.quoted} " + ", ".join(f"ADD COLUMN IF NOT EXISTS {_definition(c)}" for c in lacking)

    def columns(self) -> str:
        return f"SELECT name FROM system.columns WHERE {self._where('table')} FORMAT TSV"  # noqa: S608

    def engine(self) -> str:
        """One line: the engine, its definition, and the window of tables that do not say theirs."""
        return (
            "SELECT engine, engine_full, (SELECT any(value) FROM system.merge_tree_settings"  # noqa: S608
            " WHERE name = 'non_replicated_deduplication_window')"
            f" FROM system.tables WHERE {self._where('name')} FORMAT TSV"
        )

    def insertion(self) -> str:
        """Takes the lines of `insert_body`."""
        columns = ", ".join(f"`{column.name}`" for column in COLUMNS)
        return f"INSERT INTO {self.quoted} ({columns}) FORMAT JSONEachRow"

    def _where(self, column: str) -> str:
        return f"database = '{self.database}' AND {column} = '{self.name}'"


def forgetful(engine_line: str) -> str | None:
    """Why a table with this answer to `EventTable.engine` would take a batch twice; None where it would not."""
    engine, definition, default = engine_line.rstrip("\n").split("\t")
    if engine == "Distributed" or (engine.endswith("MergeTree") and engine.startswith(("Replicated", "Shared"))):
        return None
    if not engine.endswith("MergeTree"):
        return f"the engine {engine} cannot tell repeated batches: use one of the MergeTree family"
    window = _WINDOW_SET.search(definition)
    if int(window[1] if window else default):
        return None
    return f"set it to remember inserts: MODIFY SETTING non_replicated_deduplication_window = {WINDOW}"


def insert_body(events: Sequence[event_pb2.Event]) -> bytes:
    """A line of JSON per event, without the columns that it has no value for."""
    return b"".join(orjson.dumps(_fields(event), option=orjson.OPT_APPEND_NEWLINE) for event in events)


def _fields(event: event_pb2.Event) -> dict[str, Any]:
    return {
        column.name: _time(value) if column.kind == "time" else value
        for column, value in zip(COLUMNS, event_row(event), strict=True)
        if value is not None
    }


# The events of one request bear the same times, or nearly.
@lru_cache(maxsize=4096)
def _time(moment: datetime) -> str:
    return min(max(moment, _FIRST), _LAST).strftime("%Y-%m-%d %H:%M:%S.%f")


def _definition(column: Column) -> str:
    kind = _TYPES[column.kind]
    if column.name in _FEW_VALUES:
        kind = f"LowCardinality({kind})"
    elif column.nullable and column.kind not in ("text", "json") and column.name not in _PLAIN:
        kind = f"Nullable({kind})"
    return f"`{column.name}` {kind}{' DEFAULT 1' if column.name == 'sample_weight' else ''}"
