"""Secrets of tenants' sinks: where they are kept, what of them is shown, and how their key is changed."""

import itertools
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from headgate_service.config import ProjectSinkRules
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ProjectRow, ProjectSecretRow
from headgate_service.control_db.schema import migrate
from headgate_service.control_db.secret_box import SecretBox, SecretsKeyInvalid, SecretUnreadable, read_keys
from headgate_service.deploys.deploys import Deploys
from headgate_service.directory.project import Project, living_project
from headgate_service.errors import PolicyInvalid
from headgate_service.policy.compiled_config import CompiledConfig
from headgate_service.policy.project_sink import StoredSecret
from headgate_service.project_sinks.secrets import ProjectSecrets, RevealedSecrets, encrypt_anew
from headgate_service.projects.projects import Projects
from sqlalchemy import select

SECRET, OTHER = "whsec_" + "c2VjcmV0" * 4, "whsec_" + "b3RoZXJz" * 4
OLD, NEW = b"o" * 32, b"n" * 32


def box(*keys: bytes) -> SecretBox:
    return SecretBox(keys, os.urandom)


def config(secret: Any = SECRET, **sink: Any) -> dict[str, Any]:
    own = {"name": "orders", "use": "webhook", "config": {"url": "https://e.example"}, "secrets": {"secret": secret}}
    return {"formatVersion": 1, "sinks": [{**own, **sink}]}


def all_bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


class Control:
    """A control DB with a few projects, and deploys to it under one key."""

    def __init__(self, database: ControlDb, *keys: bytes) -> None:
        self.database = database
        ticks = itertools.count(1)
        own = ProjectSecrets(box(*keys), b"h" * 32)
        self.deploys = Deploys(database, lambda: next(ticks), ProjectSinkRules(), own, kept=4)
        self.box = box(*keys)

    async def deploy(self, project: str, deployed: dict[str, Any]) -> int:
        def record(*_: Any) -> None:
            """An audit log that nobody reads."""

        return (await self.deploys.deploy(await self.project(project), deployed, "ann@shop.example", record)).version

    async def project(self, slug: str) -> Project:
        async with self.database.read() as session:
            return Project.of(await living_project(session, slug))

    async def secret_of(self, project: str) -> tuple[str, str]:
        """The hash that the active config shows of the secret, and the secret."""
        version = await self.deploys.get(await self.project(project), 0)
        assert version is not None
        (sink,) = CompiledConfig.read(version.config).sinks
        async with self.database.read() as session:
            row = await session.scalar(select(ProjectRow).where(ProjectRow.slug == project))
            assert row is not None
            revealed = await RevealedSecrets.of(session, self.box, [row.id])
            return sink.secrets["secret"].hash, revealed.reveal(row.id, sink.secrets["secret"])


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    database = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/control.db")
    await migrate(database)
    projects = Projects(database, random=secrets.token_bytes, now_ms=lambda: 0)
    for name in ("shop", "blog"):
        await projects.create_project(name)
    yield Control(database, OLD)
    await database.close()


async def test_a_secret_is_shown_by_its_hash_and_the_same_config_is_the_same_version(control: Control, tmp_path: Path):
    assert [await control.deploy("shop", config()) for _ in range(2)] == [1, 1]
    shown, secret = await control.secret_of("shop")
    assert secret == SECRET
    assert await control.deploy("shop", config({"$hash": shown})) == 1
    assert await control.deploy("shop", config([SECRET, OTHER])) == 2
    assert await control.deploy("shop", config(OTHER)) == 3
    assert [one.changed for one in await control.deploys.list(await control.project("shop"), 0, 9)] == [["/sinks"]] * 3
    kept = all_bytes_of(tmp_path)
    assert shown.encode() in kept
    assert SECRET.encode() not in kept
    assert OTHER.encode() not in kept


async def test_old_versions_go_with_the_secrets_that_only_they_name(control: Control):
    await control.deploy("blog", config())
    for secret in (SECRET, OTHER, SECRET, OTHER, [OTHER], [OTHER, OTHER]):
        newest = await control.deploy("shop", config(secret))
    kept = [one.version for one in await control.deploys.list(await control.project("shop"), 0, 9)]
    assert kept == [6, 5, 4, 3]

    async def known() -> int:
        async with control.database.read() as session:
            return len(list(await session.scalars(select(ProjectSecretRow))))

    assert (newest, await known()) == (6, 3)
    await control.deploys.activate(await control.project("shop"), 3, lambda *_: None)
    assert (await control.secret_of("shop"))[1] == SECRET
    assert await control.deploy("shop", config(OTHER)) == 7
    assert (await control.secret_of("shop"))[1] == OTHER
    # The other project's stays.
    assert await known() == 2


async def test_a_hash_of_another_project_opens_nothing(control: Control):
    await control.deploy("shop", config())
    shown, _ = await control.secret_of("shop")
    with pytest.raises(PolicyInvalid, match=r"/sinks/0/secrets/secret: is the hash of no secret of this project"):
        await control.deploy("blog", config({"$hash": shown}))
    await control.deploy("blog", config())
    assert (await control.secret_of("blog"))[0] != shown
    async with control.database.change() as (session, _):
        rows = list(await session.scalars(select(ProjectSecretRow)))
        rows[0].value, rows[1].value = rows[1].value, rows[0].value
    with pytest.raises(SecretUnreadable):
        await control.secret_of("shop")


async def test_a_refused_deploy_keeps_nothing(control: Control):
    with pytest.raises(PolicyInvalid, match="/project"):
        await control.deploy("shop", {**config(), "project": "blog"})
    with pytest.raises(PolicyInvalid, match="/sinks/0/config/url"):
        await control.deploy("shop", config(config={"url": "http://10.0.0.1"}))
    async with control.database.read() as session:
        assert list(await session.scalars(select(ProjectSecretRow))) == []


async def test_the_key_is_changed_without_a_gap(control: Control):
    await control.deploy("shop", config())
    before = await control.secret_of("shop")
    assert await encrypt_anew(control.database, box(NEW, OLD)) == 1
    assert await encrypt_anew(control.database, box(NEW, OLD)) == 0
    changed = Control(control.database, NEW)
    assert await changed.secret_of("shop") == before
    assert await changed.deploy("shop", config()) == 1
    with pytest.raises(SecretUnreadable, match="another key than"):
        await control.secret_of("shop")


async def test_a_lost_key_is_made_good_by_deploying_the_secret_again(control: Control):
    await control.deploy("shop", config())
    lost = Control(control.database, NEW)
    assert await encrypt_anew(control.database, lost.box) == 0
    before = await _change_of(control.database, "shop")
    assert await lost.deploy("shop", config()) == 1
    assert (await lost.secret_of("shop"))[1] == SECRET
    # Those that run the sink look again.
    assert await _change_of(control.database, "shop") > before


async def _change_of(database: ControlDb, slug: str) -> int:
    async with database.read() as session:
        return await session.scalar(select(ProjectRow.change).where(ProjectRow.slug == slug)) or 0


def test_what_was_tampered_with_does_not_open():
    sealed = box(OLD).seal(SECRET, "a")
    assert box(NEW, OLD).open(sealed, "a") == SECRET
    for other in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:9], b""):
        with pytest.raises(SecretUnreadable):
            box(OLD).open(other, "a")
    with pytest.raises(SecretUnreadable):
        box(OLD).open(sealed, "b")
    assert sealed != box(OLD).seal(SECRET, "a")


@pytest.mark.parametrize("text", ["", "x", "eA==", "c2VjcmV0" * 4 + ",", "=" * 44])
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(SecretsKeyInvalid, match="openssl rand -base64 32"):
        read_keys(text)


def test_an_unstored_secret_is_never_revealed():
    with pytest.raises(SecretUnreadable):
        RevealedSecrets(box(OLD), {}).reveal("prj", StoredSecret("0" * 32))
