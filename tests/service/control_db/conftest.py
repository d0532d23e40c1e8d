"""A real control DB, in a file, for the tests of it and of all that rests on it."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from headgate_service.keyring import Keyring
from headgate_service.projects import Projects


@pytest.fixture
def control_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/data/control.db"


@pytest.fixture
async def control_db(control_url: str) -> AsyncIterator[ControlDb]:
    database = ControlDb(control_url)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def now_ms() -> Callable[[], int]:
    ticks = itertools.count(1_700_000_000_000)
    return lambda: next(ticks)


@pytest.fixture
def projects(control_db: ControlDb, now_ms: Callable[[], int]) -> Projects:
    return Projects(control_db, random=secrets.token_bytes, now_ms=now_ms)


@pytest.fixture
def keyring(control_db: ControlDb, now_ms: Callable[[], int]) -> Keyring:
    return Keyring(control_db, random=secrets.token_bytes, now_ms=now_ms)
