"""The control DB as the service reaches it: SQLite in the data directory, or any other database by its URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import event, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from headgate_service.control_db.models import ChangeCounter
from headgate_service.errors import ControlDbUnavailable

# By the name that a URL may begin with: the driver, and the package to install for it where Headgate has no need of it.
_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite", "aiosqlite", "headgate"),
    "postgresql": ("postgresql+asyncpg", "asyncpg", "headgate[postgres]"),
    "postgres": ("postgresql+asyncpg", "asyncpg", "headgate[postgres]"),
}

# What may follow the `?` of a URL, by its driver.
_ARGUMENTS: dict[str, frozenset[str]] = {
    "sqlite+aiosqlite": frozenset(),
    "postgresql+asyncpg": frozenset(
        ("host", "port", "ssl", "passfile", "direct_tls", "target_session_attrs", "prepared_statement_cache_size")
    ),
}


class DatabaseUrlInvalid(Exception):
    """No control DB can be had by this URL. The message says why, and shows nothing of the URL."""


def driven(text: str) -> str:
    """The URL with its driver: `postgresql://...` means asyncpg. Raises DatabaseUrlInvalid."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlInvalid("not a URL: write postgresql://USER:PASSWORD@HOST/DATABASE") from None
    backend, _, driver = url.drivername.partition("+")
    if backend not in _DRIVERS:
        raise DatabaseUrlInvalid(f"{backend} is not a supported database: use PostgreSQL or SQLite")
    name, module, package = _DRIVERS[backend]
    if driver and f"+{driver}" != name[name.index("+") :]:
        raise DatabaseUrlInvalid(f"the driver {driver} is not used here: begin the URL with {name}://")
    if find_spec(module) is None:
        raise DatabaseUrlInvalid(f"its driver is not installed: pip install '{package}'")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise DatabaseUrlInvalid("SQLite needs a file: write sqlite:////absolute/path/control.db")
    if unknown := sorted(set(url.query) - _ARGUMENTS[name]):
        known = ", ".join(sorted(_ARGUMENTS[name])) or "none"
        raise DatabaseUrlInvalid(f"it has an argument that is not known: {unknown[0][:40]}. Known are {known}")
    return url.set(drivername=name).render_as_string(hide_password=False)


READ_SECONDS = 2.0
CHANGE_SECONDS = 10.0

# An option of a connection: its transactions take the right to write first, waiting for it at most so many ms.
_WRITE_BUSY_MS = "headgate_write_busy_ms"
# Connections to PostgreSQL that are kept, and how many more there may be for a while.
_POOL = 5
# Of a deadline, how much may go by waiting for a locked file: the wait then ends in SQLite's own error, where the
# deadline alone would leave a thread behind.
_BUSY_SHARE = 0.8


class ControlDb:
    """Transactions on the control DB, each with a deadline."""

    def __init__(self, url: str, *, read_seconds: float = READ_SECONDS, change_seconds: float = CHANGE_SECONDS) -> None:
        self.engine = _engine(url, read_seconds, change_seconds)
        if self.engine.dialect.name == "sqlite":
            self._reads = self.engine
            self._changes = self.engine.execution_options(**{_WRITE_BUSY_MS: int(change_seconds * _BUSY_SHARE * 1000)})
        else:
            # Whatever the server's own default is: one look at one moment, and changes that see what the one before
            # them, for which they waited at the change counter, has committed.
            self._reads = self.engine.execution_options(isolation_level="REPEATABLE READ")
            self._changes = self.engine.execution_options(isolation_level="READ COMMITTED")
        self._read_seconds = read_seconds
        self._change_seconds = change_seconds

    @property
    def file(self) -> Path | None:
        """The SQLite file; None where the database is another."""
        return sqlite_file(self.engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One consistent look. Raises ControlDbUnavailable."""
        async with _deadline(self._read_seconds), AsyncSession(self._reads) as session, session.begin():
            yield session

    @asynccontextmanager
    async def change(self) -> AsyncIterator[tuple[AsyncSession, int]]:
        """One transaction that changes something, and the change counter's new value for the rows it writes.

        Taking the counter first makes changes wait for one another, so that they become visible in the counter's
        order and a check made within stays true until the commit. Raises ControlDbUnavailable.
        """
        async with (
            _deadline(self._change_seconds),
            AsyncSession(self._changes, expire_on_commit=False) as session,
            session.begin(),
        ):
            counted = update(ChangeCounter).values(value=ChangeCounter.value + 1).returning(ChangeCounter.value)
            yield session, (await session.execute(counted)).scalar_one()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction that writes what no snapshot holds, such as copies of counters: the change counter stays.

        Nothing in it waits for changes but where the database has one writer only. Raises ControlDbUnavailable.
        """
        async with _deadline(self._change_seconds), AsyncSession(self._changes) as session, session.begin():
            yield session

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[AsyncConnection]:
        """One transaction for the schema: it starts with the right to write, and may take its time."""
        if self.engine.dialect.name == "sqlite":
            async with self._changes.begin() as connection:
                yield connection
            return
        engine = create_async_engine(self.engine.url, poolclass=NullPool, hide_parameters=True)
        async with engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()


def sqlite_file(engine: AsyncEngine) -> Path | None:
    """The file of an SQLite database; None for any other."""
    if engine.dialect.name != "sqlite":
        return None
    if not engine.url.database or engine.url.database == ":memory:":
        raise ValueError("the control DB needs a file: a database in memory is lost with its connection")
    return Path(engine.url.database)


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ControlDbUnavailable(f"the control DB did not answer within {seconds:g} s") from error
    except IntegrityError:
        raise
    except (DBAPIError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise ControlDbUnavailable(f"the control DB failed: {cause}") from error
    except SQLAlchemyError as error:
        raise ControlDbUnavailable(f"the control DB failed: {error}") from error


def _engine(url: str, read_seconds: float, change_seconds: float) -> AsyncEngine:
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite_engine(url, read_seconds * _BUSY_SHARE)
    return _postgresql_engine(url, read_seconds, change_seconds)


def _postgresql_engine(url: str, read_seconds: float, change_seconds: float) -> AsyncEngine:
    # What the process gave up, the server gives up too: it would hold locks for nobody.
    bounds = {"statement_timeout": change_seconds, "idle_in_transaction_session_timeout": 2 * change_seconds}
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=read_seconds * _BUSY_SHARE,
        pool_pre_ping=True,
        connect_args={
            # Of the driver: how long a connection may take to come to be, and a statement to be answered.
            "timeout": read_seconds,
            "command_timeout": change_seconds,
            "server_settings": {
                "application_name": "headgate",
                **{name: f"{int(seconds * 1000)}ms" for name, seconds in bounds.items()},
            },
        },
    )


def _sqlite_engine(url: str, busy_seconds: float) -> AsyncEngine:
    # A connection for each look costs a millisecond, and a file that was locked, replaced or removed shows at the next.
    engine = create_async_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        # Left to itself the driver begins transactions late and commits before a DDL statement.
        connect_args={"isolation_level": None, "timeout": busy_seconds},
    )
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Any) -> None:
    # Here and not when the connection is made: SQLAlchemy does not close one that fails while it is made.
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    connection.exec_driver_sql("PRAGMA synchronous = FULL")
    busy_ms = connection.get_execution_options().get(_WRITE_BUSY_MS)
    if busy_ms is None:
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {busy_ms}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def write_ahead(engine: AsyncEngine) -> None:
    """Puts an SQLite file into WAL mode, in which readers never wait for a writer; the file remembers it."""
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        mode = await (await driver.execute("PRAGMA journal_mode = WAL")).fetchone()
    if mode[0] != "wal":
        raise ControlDbUnavailable("SQLite cannot use its write-ahead log on this file system: use a local disk")
