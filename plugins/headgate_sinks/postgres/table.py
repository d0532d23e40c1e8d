"""The tables of a postgres sink, and the statements that make, widen and fill them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from headgate_sinks.formats.event_row import COLUMNS, KEY, Column

STAGE = "headgate_batch"
"""The temporary table that a batch is copied into."""

TYPES = {
    "text": "text",
    "time": "timestamptz",
    "flag": "boolean",
    "number": "double precision",
    "json": "jsonb",
}
_NAMES = ", ".join(f'"{column.name}"' for column in COLUMNS)
OLD_KEY = KEY[:2]
"""The key of tables that earlier versions made. It has no room for an id that comes again after a day."""

OPENING = f"""
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
CREATE TEMPORARY TABLE IF NOT EXISTS {STAGE}
    ({", ".join(f'"{column.name}" {TYPES[column.kind]}' for column in COLUMNS)}) ON COMMIT DELETE ROWS
"""
"""How each transaction begins: a commit that was reported must outlive the server, whatever its default."""

EMPTY_STAGE = f"TRUNCATE pg_temp.{STAGE}"

COLUMNS_OF = """
SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
"""The names of a table's columns; none where there is no such table. $1: the quoted name."""

UNIQUE_BY_ID = """
SELECT i.indexrelid::regclass::text, c.conname::text FROM pg_index AS i
LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid AND c.contype IN ('p', 'u')
WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
    AND i.indnkeyatts = 2 AND ARRAY(
        SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts ORDER BY 1
    ) = ARRAY['event_id', 'project_id'] LIMIT 1
"""
"""The index, and its constraint, that lets a table hold one event per project and id. $1: the quoted name."""

MAY_INSERT = "SELECT has_table_privilege(current_user, to_regclass($1), 'INSERT')"

MAY_CREATE = """
SELECT coalesce(has_schema_privilege(current_user, coalesce($1::text, current_schema()), 'CREATE'), false)
FROM (SELECT 1 WHERE $1::text IS NULL OR to_regnamespace(quote_ident($1::text)) IS NOT NULL) AS found
"""
"""Whether a table can be made in the schema $1, or where that is null in the first of the search path."""


@dataclass(frozen=True, slots=True)
class EventTable:
    """A table of events, with its ledger of written batches beside it, in `schema` or the first of the search path."""

    name: str
    schema: str | None = None

    @classmethod
    def parse(cls, given: str) -> "EventTable":
        """From `table` or `schema.table`."""
        schema, _, name = given.rpartition(".")
        return cls(name, schema or None)

    @property
    def quoted(self) -> str:
        return self._quoted(self.name)

    @property
    def ledger(self) -> str:
        return self._quoted(f"{self.name}_batches")

    def _quoted(self, name: str) -> str:
        return f'"{self.schema}"."{name}"' if self.schema else f'"{name}"'

    def creation(self) -> str:
        """Makes both tables where they are not."""
        columns = ", ".join(_definition(column, new=True) for column in COLUMNS)
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted} ({columns}, PRIMARY KEY ({_listed(KEY)}));\n"
            f"CREATE TABLE IF NOT EXISTS {self.ledger} (batch_id text PRIMARY KEY,"
            " write_time timestamptz NOT NULL DEFAULT now(), events integer NOT NULL, rejected jsonb)"
        )

    def widening(self, present: Collection[str]) -> str | None:
        """Adds the columns that a table with those `present` lacks; None where it lacks none."""
        lacking = [column for column in COLUMNS if column.name not in present]
        if not lacking:
            return None
        # What is there already has no value for them, so none of them can be NOT NULL.
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {_definition(column, new=False)}" for column in lacking)
        return f"ALTER TABLE {self.quoted} {added}"

    def claim(self) -> str:
        """Takes down the batch $1 of $2 events; answers with a row where it had not been taken down before."""
        return (
            f"INSERT INTO {self.ledger} (batch_id, events) VALUES ($1, $2) ON CONFLICT (batch_id) DO NOTHING"  # noqa: S608
            " RETURNING batch_id"
        )

    def rejected(self) -> str:
        """What was rejected of the batch $1."""
        return f"SELECT rejected FROM {self.ledger} WHERE batch_id = $1"  # noqa: S608

    def note_rejected(self) -> str:
        """Takes down what was rejected of the batch $1."""
        return f"UPDATE {self.ledger} SET rejected = $2 WHERE batch_id = $1"  # noqa: S608

    def forgetting(self) -> str:
        """Removes batches from the ledger that were written more than the interval $1 ago."""
        return f"DELETE FROM {self.ledger} WHERE write_time < now() - $1::interval"  # noqa: S608

    def filling(self, key: Sequence[str]) -> str:
        """Inserts what is in the stage, but for the events that the table has by `key`."""
        return (
            f"INSERT INTO {self.quoted} ({_NAMES}) SELECT {_NAMES} FROM pg_temp.{STAGE}"  # noqa: S608
            f" ON CONFLICT ({_listed(key)}) DO NOTHING"
        )

    def displaced(self) -> str:
        """The names of the staged events in whose place, by OLD_KEY, the table has another event."""
        names = ", ".join(f"s.{name}" for name in KEY)
        return (
            f"SELECT {names} FROM pg_temp.{STAGE} AS s"  # noqa: S608
            f" JOIN {self.quoted} AS t USING ({_listed(OLD_KEY)}) WHERE t.receive_time IS DISTINCT FROM s.receive_time"
        )

    def new_key(self, index: str, constraint: str | None) -> str:
        """The statements that put KEY in the place of OLD_KEY."""
        if constraint is None:
            return f"DROP INDEX {index}; CREATE UNIQUE INDEX ON {self.quoted} ({', '.join(KEY)});"
        return f'ALTER TABLE {self.quoted} DROP CONSTRAINT "{constraint}", ADD PRIMARY KEY ({", ".join(KEY)});'


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _definition(column: Column, *, new: bool) -> str:
    required = " NOT NULL" if new and not column.nullable else ""
    return f'"{column.name}" {TYPES[column.kind]}{required}'
