"""What every control DB promises, whichever database it is."""

import asyncio
import random
import signal
from typing import Any

import pytest
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ChangeCounter, OrganisationRow
from headgate_service.control_db.schema import migrate
from headgate_service.errors import ControlDbUnavailable
from sqlalchemy import select, text

WRITERS, CHANGES = 4, 6


async def test_a_reader_of_what_is_new_misses_no_change(control_db: ControlDb, control_url: str) -> None:
    """Writers of other processes commit whenever they get to it; who loads what is above the counter has it all."""
    seen: set[str] = set()

    async def write(number: int) -> None:
        database = ControlDb(control_url, change_seconds=60)
        for turn in range(CHANGES):
            async with database.change() as (session, change):
                name = f"{number}-{turn}"
                await asyncio.sleep(random.random() * 0.02)
                session.add(OrganisationRow(id=name, slug=name, name=name, created_at=1, change=change))
        await database.close()

    async def read(writing: "asyncio.Future[Any]") -> None:
        since = 0
        while True:
            last = writing.done()
            async with control_db.read() as session:
                until = await session.scalar(select(ChangeCounter.value)) or 0
                new = select(OrganisationRow.id).where(OrganisationRow.change > since, OrganisationRow.change <= until)
                seen.update(await session.scalars(new))
            since = until
            if last:
                return

    writing = asyncio.gather(*(write(number) for number in range(WRITERS)))
    await asyncio.gather(writing, read(writing))
    assert seen == {f"{number}-{turn}" for number in range(WRITERS) for turn in range(CHANGES)}


async def test_a_look_is_of_one_moment(control_db: ControlDb) -> None:
    value = select(ChangeCounter.value)
    async with control_db.read() as session:
        before = await session.scalar(value)
        async with control_db.change():
            pass
        assert await session.scalar(value) == before
    async with control_db.read() as session:
        assert await session.scalar(value) == before + 1


async def test_a_check_within_a_change_stays_true_until_its_commit(control_db: ControlDb) -> None:
    async def once() -> bool:
        async with control_db.change() as (session, change):
            if await session.scalar(select(OrganisationRow.id)):
                return False
            await asyncio.sleep(0.01)
            session.add(OrganisationRow(id=f"{change}", slug=f"{change}", name="n", created_at=1, change=change))
            return True

    assert sorted(await asyncio.gather(*(once() for _ in range(5)))) == [False] * 4 + [True]


async def test_copies_move_no_counter(control_db: ControlDb) -> None:
    async with control_db.write() as session:
        session.add(OrganisationRow(id="o", slug="o", name="n", created_at=1, change=0))
    async with control_db.read() as session:
        assert await session.scalar(select(ChangeCounter.value)) == 0
        assert await session.scalar(select(OrganisationRow.id)) == "o"


async def asked(database: ControlDb) -> None:
    """Each kind of transaction once. Raises ControlDbUnavailable."""
    for look in (database.read, database.change, database.write):
        async with look() as taken:
            await (taken[0] if isinstance(taken, tuple) else taken).scalar(text("SELECT 1"))


@pytest.mark.parametrize("how", ["frozen", "frozen before the first connection", "stopped"])
async def test_a_postgresql_that_is_away_holds_nobody_up_and_is_taken_up_again(fragile_postgres: Any, how: str) -> None:
    database = ControlDb(fragile_postgres.url(scheme="postgresql+asyncpg"), read_seconds=0.5, change_seconds=1)
    await migrate(database)
    if how != "frozen before the first connection":
        await asked(database)
    if how == "stopped":
        fragile_postgres.stop()
    else:
        fragile_postgres.signal(signal.SIGSTOP)
    async with asyncio.timeout(20):
        for look in (database.read, database.change, database.write, database.read):
            with pytest.raises(ControlDbUnavailable):
                async with look() as taken:
                    await (taken[0] if isinstance(taken, tuple) else taken).scalar(text("SELECT 1"))
    if how == "stopped":
        fragile_postgres.start()
    else:
        fragile_postgres.signal(signal.SIGCONT)
    await asked(database)
    await database.close()


async def test_what_is_given_up_holds_no_lock(fragile_postgres: Any) -> None:
    database = ControlDb(fragile_postgres.url(scheme="postgresql+asyncpg"), read_seconds=5, change_seconds=0.5)
    await migrate(database)
    with pytest.raises(ControlDbUnavailable):
        async with database.change() as (session, _):
            await session.execute(text("SELECT pg_sleep(60)"))
    async with asyncio.timeout(10):
        await asked(database)
    active = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND query LIKE 'SELECT pg_sleep%'"
    async with database.read() as session:
        assert await session.scalar(text(active)) == 0
    await database.close()


async def test_connections_are_bounded(fragile_postgres: Any) -> None:
    database = ControlDb(fragile_postgres.url(scheme="postgresql+asyncpg"), read_seconds=10)
    await migrate(database)
    most = 0

    async def look() -> None:
        nonlocal most
        async with database.read() as session:
            connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headgate'"
            most = max(most, await session.scalar(text(connected)) or 0)
            await asyncio.sleep(0.02)

    await asyncio.gather(*(look() for _ in range(60)))
    assert 1 < most <= 10
    await database.close()
