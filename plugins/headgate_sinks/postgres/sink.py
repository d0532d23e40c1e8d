"""The `postgres` sink: a row per event in a table of PostgreSQL.

A batch is one transaction: its id goes into a ledger, its events are copied into a temporary table and inserted from
there. A batch whose id is in the ledger is answered from it; an event that is in the table, by project, id and receive
time, is not inserted again.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from headgate.v1 import event_pb2
from pydantic import Field, SecretStr

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_row import COLUMNS, KEY, event_row
from headgate_sinks.postgres.table import (
    COLUMNS_OF,
    EMPTY_STAGE,
    MAY_CREATE,
    MAY_INSERT,
    OLD_KEY,
    OPENING,
    STAGE,
    UNIQUE_BY_ID,
    EventTable,
)
from headgate_sinks.sdk.sink import (
    Batch,
    Config,
    Limits,
    Misconfigured,
    Outcome,
    Reject,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
)

if TYPE_CHECKING:
    from asyncpg.pool import Pool, PoolConnectionProxy

    Connection = PoolConnectionProxy[Any]

_CONCURRENCY = 4
_LEDGER_KEPT = timedelta(days=30)
_TABLE_LOOKED_AT_SECONDS = 6 * 3600.0
# Any number will do, so long as every forwarder takes the same.
_CREATION_LOCK = 0x6865616467617465
_NAMES = tuple(column.name for column in COLUMNS)
_named = itemgetter(*(_NAMES.index(name) for name in KEY))
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
NUL_SHOWN = "\u2400"


class PostgresConfig(Config):
    """`[sinks.config]` of a postgres sink."""

    url: SecretStr = Field(
        description="The database, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`, or where that"
        " stands: `env:NAME` or `file:PATH`."
    )
    table: str = Field(
        "headgate_events",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,54}\.)?[A-Za-z_][A-Za-z0-9_]{0,54}$",
        description="The table, or `schema.table`, as it is spelt. Its ledger has `_batches` after the name.",
    )
    create: bool = Field(
        True, description="Make the two tables where they are not, and add columns that the table lacks."
    )
    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that writing one batch may take as a whole.")


class PostgresSink(Sink[PostgresConfig]):
    """Writes each batch in one transaction."""

    use = "postgres"
    Config = PostgresConfig
    spec = Spec(
        limits=Limits(events=5000, bytes=4 * 1024 * 1024, age=1.0),
        concurrency=_CONCURRENCY,
        repeats=Repeats.BATCH_ID,
        when_full="expire",
        write_seconds=310.0,
    )

    _pool: "Pool[Any] | None" = None

    async def open(self) -> None:
        self._table = EventTable.parse(self.config.table)
        self._preparing = asyncio.Lock()
        self._prepared_until = 0.0
        # What puts the new key in the place of the old one, where the table has that.
        self._new_key = ""
        self._pool = await (await self._make_pool())

    async def check(self) -> None:
        table = EventTable.parse(self.config.table)
        try:
            async with (
                asyncio.timeout(self.config.timeout),
                await self._make_pool() as pool,
                pool.acquire() as connection,
            ):
                await self._look_at(connection, table)
        except _failures() as error:
            raise _outcome(error) from error

    async def write(self, batch: Batch) -> Outcome:
        if self._pool is None:
            return Retry("the sink is closed")
        limit = self.config.timeout
        try:
            async with asyncio.timeout(limit), self._pool.acquire(timeout=limit) as connection:
                await self._prepare(connection)
                return await self._write(connection, batch)
        except _failures() as error:
            outcome = _outcome(error)
            if isinstance(outcome, Misconfigured):
                # The table may have been dropped or changed: look at it before the next write.
                self._prepared_until = 0.0
            return outcome

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _make_pool(self) -> "Pool[Any]":
        # Importing it takes a while.
        driver = await asyncio.to_thread(_driver)
        pool: Pool[Any] = driver.create_pool(
            await asyncio.to_thread(self.place.secret, self.config.url),
            # Connects to nothing yet: a database that is down must not keep the sink from opening.
            min_size=0,
            max_size=_CONCURRENCY,
            timeout=self.config.timeout,
            server_settings={"application_name": f"headgate {self.place.name}"},
        )
        return pool

    async def _prepare(self, connection: "Connection") -> None:
        """Makes and widens the tables and forgets old batches, now and then."""
        async with self._preparing:
            now = self.place.clock()
            if now < self._prepared_until:
                return
            if self.config.create:
                await self._create(connection)
            else:
                await self._look_at(connection, self._table)
            old = await connection.fetchrow(UNIQUE_BY_ID, self._table.quoted)
            self._new_key = self._table.new_key(*old) if old else ""
            await connection.execute(self._table.forgetting(), _LEDGER_KEPT)
            self._prepared_until = now + _TABLE_LOOKED_AT_SECONDS

    async def _create(self, connection: "Connection") -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _CREATION_LOCK)
            present = await _columns(connection, self._table.quoted)
            # Nothing is changed where nothing is lacking: that takes no more rights than writing does.
            if not present or not await _columns(connection, self._table.ledger):
                await connection.execute(self._table.creation())
                present = await _columns(connection, self._table.quoted)
            if widening := self._table.widening(present):
                await connection.execute(widening)

    async def _look_at(self, connection: "Connection", table: EventTable) -> None:
        present = await _columns(connection, table.quoted)
        ledger = await _columns(connection, table.ledger)
        if not (present and ledger):
            lacking = table.quoted if not present else table.ledger
            if not self.config.create:
                raise Misconfigured(f"there is no table {lacking}: make it, or set `create = true`")
            if not await connection.fetchval(MAY_CREATE, table.schema):
                raise Misconfigured(f"there is no table {lacking}, and no right to make it: grant CREATE on its schema")
        if present and not await connection.fetchval(MAY_INSERT, table.quoted):
            raise Misconfigured(f"no right to write: grant SELECT and INSERT on {table.quoted}")
        if present and not self.config.create and (lacking := ", ".join(c for c in _NAMES if c not in present)):
            raise Misconfigured(f"{table.quoted} lacks the columns {lacking}: add them, or set `create = true`")

    async def _write(self, connection: "Connection", batch: Batch) -> Result:
        rows = await asyncio.to_thread(lambda: dict(enumerate(map(postgres_row, batch.events))))
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(OPENING)
            if not await connection.fetchval(self._table.claim(), batch.id, len(batch.events)):
                return _recorded(await connection.fetchval(self._table.rejected(), batch.id))
            rejected = _without_id(batch.events)
            for reject in rejected:
                del rows[reject.events[0]]
            rejected += await self._fill(connection, rows)
            if rejected:
                await connection.execute(self._table.note_rejected(), batch.id, _record(rejected))
        return Result(tuple(rejected))

    async def _fill(self, connection: "Connection", rows: Mapping[int, tuple[Any, ...]]) -> list[Reject]:
        """Inserts the rows, by their events' places; what the database refuses is narrowed down, by halves, to the
        events that it is."""
        rejected = []
        parts = [list(rows)] if rows else []
        while parts:
            part = parts.pop()
            try:
                async with connection.transaction():
                    await connection.execute(EMPTY_STAGE)
                    await connection.copy_records_to_table(
                        STAGE, schema_name="pg_temp", columns=_NAMES, records=[rows[place] for place in part]
                    )
                    await connection.execute(self._table.filling(OLD_KEY if self._new_key else KEY))
                    if self._new_key:
                        rejected += await self._displaced(connection, rows, part)
            except _driver().PostgresError as error:
                if not _says_row_is_unfit(error.sqlstate):
                    raise
                if len(part) == 1:
                    rejected.append(Reject((part[0],), f"postgres_{error.sqlstate.lower()}", str(error)))
                else:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
        return rejected

    async def _displaced(
        self, connection: "Connection", rows: Mapping[int, tuple[Any, ...]], part: Sequence[int]
    ) -> list[Reject]:
        """Those of the staged part that the table has no room for: another event has their id."""
        displaced = {tuple(name) for name in await connection.fetch(self._table.displaced())}
        if not displaced:
            return []
        message = f"the table holds another event of this id and can hold one only; run {self._new_key} and retry"
        return [Reject((place,), "event_id_taken", message) for place in part if _named(rows[place]) in displaced]


def postgres_row(event: event_pb2.Event) -> tuple[Any, ...]:
    """The event's values in the order of `COLUMNS`, each NUL shown as U+2400: PostgreSQL stores none."""
    row = event_row(event)
    if not any(isinstance(value, str) and ("\0" in value or "\\u0000" in value) for value in row):
        return row
    return tuple(_shown(column.kind, value) for column, value in zip(COLUMNS, row, strict=True))


def _without_id(events: Sequence[event_pb2.Event]) -> list[Reject]:
    return [
        Reject((place,), "nul_in_event_id", "PostgreSQL stores no NUL, and another id would be another event")
        for place, event in enumerate(events)
        if "\0" in event.event_id
    ]


def _shown(kind: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _ESCAPED_NUL.sub(rf"\1{NUL_SHOWN}", value) if kind == "json" else value.replace("\0", NUL_SHOWN)


def outcome_of(sqlstate: str, message: str) -> Misconfigured | Retry:
    """What an error of the server says of the batch as a whole."""
    if sqlstate[:2] in ("23", "28", "3D", "3F", "42"):
        return Misconfigured(f"PostgreSQL says: {message} ({sqlstate}): correct `url`, `table` or the role's rights")
    return Retry(f"PostgreSQL says: {message} ({sqlstate})")


def _says_row_is_unfit(sqlstate: str) -> bool:
    # Data exceptions, constraints that the owner of the table added, and limits of the server.
    return sqlstate[:2] in ("22", "23", "54")


def _outcome(error: Exception) -> Misconfigured | Retry:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate:
        return outcome_of(sqlstate, str(error))
    if isinstance(error, _driver().ClientConfigurationError):
        # Its message may hold parts of the URL.
        return Misconfigured("`url` is not the URL of a PostgreSQL database: correct it")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured("the server's certificate is not trusted: correct `sslmode`, `sslrootcert` or the server")
    return Retry(f"no answer from the database: {type(error).__name__}")


def _driver() -> Any:
    try:
        import asyncpg
    except ImportError as error:
        raise Misconfigured("the client of PostgreSQL is not installed: pip install 'headgate[postgres]'") from error
    return asyncpg


def _failures() -> tuple[type[Exception], ...]:
    driver = _driver()
    return (driver.PostgresError, driver.InterfaceError, driver.InternalClientError, OSError, TimeoutError)


async def _columns(connection: "Connection", table: str) -> frozenset[str]:
    return frozenset(row[0] for row in await connection.fetch(COLUMNS_OF, table))


def _record(rejected: Sequence[Reject]) -> str:
    # A message may quote the event, and jsonb stores no NUL either.
    return json.dumps([[r.events, r.code, r.message.replace("\0", NUL_SHOWN)] for r in rejected])


def _recorded(rejected: str | None) -> Result:
    return Result(tuple(Reject(tuple(events), code, message) for events, code, message in json.loads(rejected or "[]")))


@hookimpl
def headgate_register_sinks() -> list[type[PostgresSink]]:
    return [PostgresSink]
