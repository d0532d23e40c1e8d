"""Brings the control DB's schema up to date, by the migrations that the package ships."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from headgate_service.control_db.database import ControlDb, write_ahead
from headgate_service.errors import ControlDbUnavailable

LOCK_SECONDS = 60.0

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number, the same in every Headgate.
_ADVISORY_LOCK = 4_750_116_388
_LOCK_POLL_SECONDS = 0.05


async def migrate(database: ControlDb, revision: str = "head") -> None:
    """Brings the schema to `revision`, forward or ("base" or a named one) back, in one transaction.

    Starters that come at the same time wait for one another. Raises ControlDbUnavailable.
    """
    try:
        async with asyncio.timeout(LOCK_SECONDS), _sole_starter(database), database.exclusive() as connection:
            if database.file is None:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            await connection.run_sync(_run, revision)
    except TimeoutError as error:
        raise ControlDbUnavailable(
            f"the control DB's schema could not be brought up to date within {LOCK_SECONDS:g} s: "
            "another start of Headgate holds it"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise ControlDbUnavailable(f"the control DB's schema could not be brought up to date: {error}") from error


def alembic_config() -> Config:
    """Alembic's configuration for the migrations shipped here; they run on the connection put in its attributes."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _run(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    newest_first = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()] + ["base"]
    at = MigrationContext.configure(connection).get_current_revision() or "base"
    if revision == "head" or newest_first.index(revision) < newest_first.index(at):
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)


@asynccontextmanager
async def _sole_starter(database: ControlDb) -> AsyncIterator[None]:
    """Holds a lock beside an SQLite file: while it comes to be, the file itself cannot be locked yet."""
    file = database.file
    if file is None:
        yield
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file.with_name(file.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(handle):  # noqa: ASYNC110 - nothing in this process knows when another one is done
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        await write_ahead(database.engine)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
