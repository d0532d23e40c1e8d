import asyncio
import secrets
import sqlite3
from pathlib import Path

import pytest
from headgate_service.auth.audit import Author
from headgate_service.config import TenantLimits
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import KeyRow, OrganisationRow, ProjectRow, UserRow
from headgate_service.directory.project import Project
from headgate_service.errors import (
    ControlDbUnavailable,
    InvalidArgument,
    KeyUnknown,
    LimitReached,
    ProjectUnknown,
    SlugTaken,
)
from headgate_service.model.key import KeyKind, key_hash, parse_key
from headgate_service.model.principal import Principal, PrincipalKind
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.keyring import DAY_MS, Keyring
from headgate_service.projects.projects import FreshProject, KeysUndelivered, Projects
from sqlalchemy import select

ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


async def test_a_project_comes_with_a_key_of_each_of_its_kinds(projects: Projects) -> None:
    made = await projects.create_project("Web Shop", monthly_limit=10_000, rate_limit=RateLimit(50, 60_000))
    assert made.project.id.startswith("prj_")
    assert len(made.project.id) == 24
    assert (made.project.slug, made.project.name) == ("web-shop", "Web Shop")
    assert (made.project.monthly_limit, made.project.rate_limit) == (10_000, RateLimit(50, 60_000))
    assert [parse_key(key.text) for key in made.keys] == [KeyKind.PUBLIC, KeyKind.TEST, KeyKind.SECRET]


@ON_SQLITE
async def test_only_hashes_are_kept(projects: Projects, keyring: Keyring, tmp_path: Path) -> None:
    made = await projects.create_project("p")
    key = await keyring.create("p", KeyKind.ORGANISATION)
    with sqlite3.connect(tmp_path / "data" / "control.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = (tmp_path / "data" / "control.db").read_bytes()
    for one in (*made.keys, key):
        assert one.text.encode() not in kept
        assert one.text[8:-6].encode() not in kept
        assert key_hash(one.text) in kept


async def test_a_name_and_a_time_zone_are_changed_apart(projects: Projects) -> None:
    made = (await projects.create_project("p")).project
    assert made.time_zone == "UTC"
    changed = await projects.update_project("p", time_zone="Asia/Kolkata")
    assert (changed.name, changed.time_zone, changed.slug) == ("p", "Asia/Kolkata", "p")
    changed = await projects.update_project(made.id, name=" Shop ")
    assert (changed.name, changed.time_zone) == ("Shop", "Asia/Kolkata")
    for name, time_zone in [("", None), (None, ""), (None, "Berlin"), (None, "localtime"), (None, "../UTC")]:
        with pytest.raises(InvalidArgument):
            await projects.update_project("p", name, time_zone)
    with pytest.raises(ProjectUnknown):
        await projects.update_project("nope", name="x")


async def test_a_name_without_latin_letters_gets_a_slug_all_the_same(projects: Projects) -> None:
    assert (await projects.create_project("日本")).project.slug.startswith("project-")


async def test_the_first_projects_have_shards_of_their_own(projects: Projects) -> None:
    shards = [(await projects.create_project(f"p{number}")).project.shard for number in range(64)]
    assert sorted(shards) == list(range(64))


async def test_fifty_at_once_for_one_slug_have_one_winner(control_url: str, projects: Projects) -> None:
    async def create() -> FreshProject:
        own = Projects(ControlDb(control_url, change_seconds=60), random=secrets.token_bytes, now_ms=lambda: 1)
        return await own.create_project("Shop", slug="shop")

    ended = await asyncio.gather(*(create() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(one, FreshProject) for one in ended) == 1
    assert sum(isinstance(one, SlugTaken) for one in ended) == 49


async def test_a_change_leaves_nothing_behind_when_it_is_refused(control_db: ControlDb, projects: Projects) -> None:
    await projects.create_project("p")
    with pytest.raises(SlugTaken):
        await projects.create_project("p")
    with pytest.raises(InvalidArgument):
        await projects.create_project("q", slug="No")
    async with control_db.read() as session:
        assert len((await session.scalars(select(ProjectRow))).all()) == 1
        assert len((await session.scalars(select(KeyRow))).all()) == 3


async def test_a_key_by_slug_or_id(projects: Projects, keyring: Keyring) -> None:
    made = await projects.create_project("p")
    by_slug = await keyring.create("p", KeyKind.PUBLIC)
    by_id = await keyring.create(made.project.id, KeyKind.ORGANISATION, ["analytics:read"])
    assert by_slug.scopes == ()
    assert by_id.scopes == ("analytics:read",)
    assert by_id.id.startswith("key_")


async def test_a_plan_changes_by_its_parts(control_db: ControlDb, projects: Projects) -> None:
    made = (await projects.create_project("p", monthly_limit=5, rate_limit=RateLimit(7, 60_000))).project
    raised = await projects.set_plan("p", monthly_limit=50)
    assert (raised.monthly_limit, raised.rate_limit) == (50, RateLimit(7, 60_000))
    assert (await projects.set_plan(made.id, rate_limit=None)).rate_limit is None
    freed = await projects.set_plan("p", None, RateLimit(1, 1000))
    assert (freed.monthly_limit, freed.rate_limit) == (None, RateLimit(1, 1000))
    for wrong in ({"monthly_limit": 0}, {"rate_limit": RateLimit(1, 1500)}):
        with pytest.raises(InvalidArgument):
            await projects.set_plan("p", **wrong)
    async with control_db.read() as session:
        assert Project.of(await session.get_one(ProjectRow, made.id)) == freed


async def test_what_does_not_exist_is_said(projects: Projects, keyring: Keyring) -> None:
    with pytest.raises(ProjectUnknown, match="nope"):
        await keyring.create("nope", KeyKind.PUBLIC)
    with pytest.raises(ProjectUnknown, match="nope"):
        await projects.set_plan("nope", 1)
    with pytest.raises(KeyUnknown):
        await keyring.revoke("key_nope")


async def test_ending_a_key_twice_is_no_error_and_keeps_the_first_time(
    control_db: ControlDb, projects: Projects, keyring: Keyring
) -> None:
    key = (await projects.create_project("p")).keys[0]
    await keyring.revoke(key.id)
    async with control_db.read() as session:
        first = (await session.get_one(KeyRow, key.id)).revoked_at
    await keyring.revoke(key.id)
    async with control_db.read() as session:
        assert (await session.get_one(KeyRow, key.id)).revoked_at == first is not None


async def test_the_default_project_is_made_once(control_url: str, projects: Projects) -> None:
    made = await projects.ensure_default()
    assert made is not None
    assert (made.project.slug, len(made.keys)) == ("default", 3)
    again = Projects(ControlDb(control_url), random=secrets.token_bytes, now_ms=lambda: 2)
    assert await again.ensure_default() is None


async def test_the_default_project_is_made_once_by_starters_at_once(control_url: str, projects: Projects) -> None:
    starters = [Projects(ControlDb(control_url), random=secrets.token_bytes, now_ms=lambda: 1) for _ in range(8)]
    made = await asyncio.gather(*(starter.ensure_default() for starter in starters))
    assert len([one for one in made if one is not None]) == 1


async def test_first_keys_that_could_not_be_delivered_are_made_anew(projects: Projects) -> None:
    async def disk_full(_session: object, _made: FreshProject) -> None:
        raise OSError("no space left")

    with pytest.raises(KeysUndelivered, match="no space left"):
        await projects.ensure_default(disk_full)
    delivered: list[FreshProject] = []

    async def deliver(_session: object, made: FreshProject) -> None:
        delivered.append(made)

    made = await projects.ensure_default(deliver)
    assert delivered == [made]


@ON_SQLITE
async def test_a_locked_database_is_unavailable_and_nothing_hangs(
    control_db: ControlDb, control_url: str, tmp_path: Path
) -> None:
    blocker = sqlite3.connect(tmp_path / "data" / "control.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    hasty = Projects(ControlDb(control_url, change_seconds=1), random=secrets.token_bytes, now_ms=lambda: 1)
    async with asyncio.timeout(5):
        with pytest.raises(ControlDbUnavailable):
            await hasty.create_project("p")
    blocker.execute("ROLLBACK")
    blocker.close()
    await Projects(control_db, random=secrets.token_bytes, now_ms=lambda: 1).create_project("p")


ADA = Author(Principal(PrincipalKind.SESSION, "usr_ada", "ada@example.com", organisation_id="org_ada"))


@pytest.fixture
async def limited(control_db: ControlDb) -> tuple[Projects, Keyring, list[int]]:
    """Projects and keys within limits of 2 and 4, Ada with her organisation, and the time in milliseconds."""
    now = [1_000_000]
    terms = {"random": secrets.token_bytes, "now_ms": lambda: now[0], "limits": TenantLimits(projects=2, keys=4)}
    async with control_db.change() as (session, change):
        session.add(OrganisationRow(id="org_ada", slug="org-ada", name="ada", created_at=1, change=change))
        await session.flush()
        session.add(
            UserRow(id="usr_ada", email="ada@example.com", password="x", organisation_id="org_ada", created_at=1)
        )
    return Projects(control_db, **terms), Keyring(control_db, **terms), now


async def test_an_organisation_makes_so_many_projects(limited: tuple[Projects, Keyring, list[int]]) -> None:
    projects, _, now = limited
    await projects.create_project("a", by=ADA)
    await projects.create_project("b", by=ADA)
    await projects.delete_project("a", by=ADA)
    with pytest.raises(LimitReached, match=r"2 projects.*tenants\.projects"):
        await projects.create_project("c", by=ADA)
    now[0] += DAY_MS + 1
    await projects.create_project("c", by=ADA)
    with pytest.raises(LimitReached):
        await projects.create_project("d", by=ADA)
    await projects.create_project("e", organisation="org-ada")


async def test_a_project_has_so_many_keys(limited: tuple[Projects, Keyring, list[int]]) -> None:
    projects, keyring, now = limited
    await projects.create_project("a", by=ADA)
    key = await keyring.create("a", KeyKind.TEST, by=ADA)
    await keyring.revoke(key.id, by=ADA)
    with pytest.raises(LimitReached, match=r"4 keys.*tenants\.keys"):
        await keyring.create("a", KeyKind.TEST, by=ADA)
    now[0] += DAY_MS + 1
    key = await keyring.create("a", KeyKind.TEST, by=ADA)
    with pytest.raises(LimitReached):
        await keyring.rotate("a", key.id, by=ADA)
    await keyring.create("a", KeyKind.TEST)
