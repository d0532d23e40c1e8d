import asyncio
import fcntl
import io
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import Model
from headgate_service.control_db.schema import alembic_config, migrate
from headgate_service.errors import ControlDbUnavailable
from sqlalchemy import Connection, inspect, text

TABLES = set(Model.metadata.tables)


ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


async def tables(database: ControlDb) -> set[str]:
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names())) - {"alembic_version"}


async def test_migrations_go_up_and_down_and_up(control_db: ControlDb) -> None:
    assert await tables(control_db) == TABLES
    await migrate(control_db, "base")
    assert await tables(control_db) == set()
    await migrate(control_db)
    assert await tables(control_db) == TABLES


async def test_migrations_make_what_the_models_say(control_db: ControlDb) -> None:
    def differences(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Model.metadata)

    async with control_db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(control_db: ControlDb, control_url: str) -> None:
    async with control_db.change():
        pass
    await migrate(ControlDb(control_url))
    async with control_db.engine.connect() as connection:
        assert await connection.scalar(text("SELECT value FROM changes")) == 1


async def test_many_starters_in_one_process_migrate_once(control_url: str) -> None:
    await asyncio.gather(*(migrate(ControlDb(control_url)) for _ in range(8)))
    async with ControlDb(control_url).engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM changes")) == 1


@ON_SQLITE
async def test_a_starter_waits_for_the_one_before_it(control_url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "control.db.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = asyncio.create_task(migrate(ControlDb(control_url)))
        await asyncio.wait({second}, timeout=0.3)
        assert not second.done()
        assert not (tmp_path / "data" / "control.db").exists()
    await second
    assert await tables(ControlDb(control_url)) == TABLES


def test_starters_in_several_processes_make_one_default_project(control_url: str) -> None:
    program = (
        "import asyncio, secrets, sys\n"
        "from headgate_service.control_db.database import ControlDb\n"
        "from headgate_service.control_db.schema import migrate\n"
        "from headgate_service.projects.projects import Projects\n"
        "async def start():\n"
        "    database = ControlDb(sys.argv[1])\n"
        "    await migrate(database)\n"
        "    made = await Projects(database, random=secrets.token_bytes, now_ms=lambda: 1).ensure_default()\n"
        "    print('made' if made else 'found')\n"
        "asyncio.run(start())\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, control_url], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in started)
    assert said == ["found", "found", "made"]


@ON_SQLITE
async def test_the_file_is_durable_private_and_never_blocks_readers(control_db: ControlDb, tmp_path: Path) -> None:
    async with control_db.engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await connection.scalar(text("PRAGMA synchronous")) == 2
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA busy_timeout")) > 0
    assert (tmp_path / "data" / "control.db").stat().st_mode & 0o077 == 0


async def test_a_failed_migration_leaves_nothing_behind(control_url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    database = ControlDb(control_url)
    async with database.exclusive() as connection:
        await connection.execute(text("CREATE TABLE secrets (x INTEGER)"))
    with pytest.raises(ControlDbUnavailable):
        await migrate(database)
    assert await tables(database) == {"secrets"}
    await database.close()


async def test_each_migration_goes_back_and_forth(control_db: ControlDb) -> None:
    script = ScriptDirectory.from_config(alembic_config())
    steps = [step.revision for step in script.walk_revisions()]
    shapes = {}
    for revision in [*steps, "base"]:
        await migrate(control_db, revision)
        shapes[revision] = await shape(control_db)
    for revision in reversed(steps):
        await migrate(control_db, revision)
        assert await shape(control_db) == shapes[revision]


async def shape(database: ControlDb) -> dict[str, list[str]]:
    """The columns and indexes of each table."""

    def look(connection: Connection) -> dict[str, list[str]]:
        found = inspect(connection)
        return {
            table: [f"{one['name']} {one['type']} {one['nullable']}" for one in found.get_columns(table)]
            + sorted(str(one["name"]) for one in found.get_indexes(table))
            for table in found.get_table_names()
        }

    async with database.engine.connect() as connection:
        return await connection.run_sync(look)


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a file"):
        ControlDb("sqlite+aiosqlite://").file  # noqa: B018 - reading it is what fails


def test_the_migrations_speak_postgresql_too() -> None:
    config = alembic_config()
    config.attributes["dialect_name"] = "postgresql"
    printed = io.StringIO()
    config.output_buffer = printed
    with redirect_stdout(printed):
        command.upgrade(config, "head", sql=True)
    assert "hash BYTEA NOT NULL" in printed.getvalue()
    assert "scopes JSON NOT NULL" in printed.getvalue()
