"""`headgate control-db copy`, as an operator who moves to PostgreSQL runs it."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from headgate_cli.main import app
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from typer.testing import CliRunner


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADGATE_DATABASE_URL", raising=False)

    def run(url: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["control-db", "copy", url, "--data-dir", str(tmp_path / "data")])
        return result.exit_code, result.output

    return run


def test_it_copies_once_into_an_empty_database(
    run: Callable[..., tuple[int, str]], tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database().replace("+asyncpg", "")
    code, said = run(url)
    assert code == 1
    assert "there is no control DB at" in said

    asyncio.run(migrate(ControlDb(f"sqlite+aiosqlite:///{tmp_path}/data/control.db")))
    code, said = run(url)
    assert code == 0
    assert re.search(r"copied \d+ rows", said)
    assert run(f"sqlite:///{tmp_path}/data/control.db")[0] == 1
    code, said = run("mysql://u:s3cret@db/h")
    assert code == 1
    assert "s3cret" not in said
