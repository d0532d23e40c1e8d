import asyncio
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import KeyRow, OrganisationRow, ProjectRow
from headgate_service.directory.directory import Directory, TokenBucket
from headgate_service.directory.snapshot import Changes, ControlChanges, KnownKey, Snapshot
from headgate_service.errors import (
    ControlDbUnavailable,
    CredentialInvalid,
    DirectoryUnavailable,
    ProjectForbidden,
    ProjectGone,
)
from headgate_service.model.key import KeyKind, make_key
from headgate_service.model.rate_limit import RateLimit
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import Projects
from sqlalchemy import update

ON_SQLITE = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountedChanges:
    """The real source, with its looks counted, failed or held on demand."""

    def __init__(self, database: ControlDb) -> None:
        self._source = ControlChanges(database)
        self.looks = 0
        self.down = False
        self.held: asyncio.Event | None = None

    async def load(self, since: int) -> Changes:
        self.looks += 1
        if self.held is not None:
            await self.held.wait()
        if self.down:
            raise ControlDbUnavailable("down")
        return await self._source.load(since)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(control_db: ControlDb) -> CountedChanges:
    return CountedChanges(control_db)


@pytest.fixture
async def directory(source: CountedChanges, clock: Clock) -> Directory:
    made = Directory(source, clock=clock)
    await made.refresh()
    return made


def stranger(kind: KeyKind = KeyKind.PUBLIC) -> str:
    return make_key(kind, secrets.token_bytes)


async def outcome(directory: Directory, key: str) -> object:
    try:
        return await directory.find(key)
    except (CredentialInvalid, DirectoryUnavailable) as error:
        return error


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_key_is_found_with_what_it_opens(directory: Directory, projects: Projects) -> None:
    made = await projects.create_project("p", monthly_limit=5, rate_limit=RateLimit(7, 60_000))
    await directory.refresh()
    for key in made.keys:
        credential = await directory.find(key.text)
        assert (credential.id, credential.kind, credential.project_id) == (key.id, key.kind, made.project.id)
        assert credential.organisation_id == made.project.organisation_id
        assert credential.scopes == frozenset()
        assert key.text not in repr(credential)
    assert directory.project("p") == directory.project(made.project.id) == made.project
    assert directory.project("other") is None
    assert list(directory.projects()) == [made.project]


async def test_an_organisation_key_has_its_scopes(directory: Directory, projects: Projects, keyring: Keyring) -> None:
    await projects.create_project("p")
    key = await keyring.create("p", KeyKind.ORGANISATION, ["logs:read", "events:write"])
    assert (await directory.find(key.text)).scopes == {"logs:read", "events:write"}


async def test_a_typing_error_costs_no_look(directory: Directory, source: CountedChanges) -> None:
    key, before = stranger(), source.looks
    for text in (key[:-1], key[:-1] + ("0" if key[-1] != "0" else "1"), "pk_live_xxx", "", "nonsense"):
        with pytest.raises(CredentialInvalid):
            await directory.find(text)
    assert source.looks == before


async def test_a_known_key_costs_no_look(directory: Directory, projects: Projects, source: CountedChanges) -> None:
    key = (await projects.create_project("p")).keys[0].text
    await directory.refresh()
    before = source.looks
    for _ in range(10):
        await directory.find(key)
    assert source.looks == before


async def test_a_new_key_works_at_once(directory: Directory, projects: Projects, source: CountedChanges) -> None:
    made = await projects.create_project("p")
    before = source.looks
    assert (await directory.find(made.keys[0].text)).id == made.keys[0].id
    assert source.looks == before + 1
    assert directory.project("p") == made.project


async def test_many_requests_with_new_keys_share_a_look(
    projects: Projects, source: CountedChanges, clock: Clock
) -> None:
    directory = Directory(source, clock=clock, looks=TokenBucket(0, 1, clock))
    await directory.refresh()
    keys = (await projects.create_project("p")).keys
    found = await asyncio.gather(*(directory.find(key.text) for key in keys for _ in range(40)))
    assert len(found) == 120
    assert source.looks == 2


async def test_a_look_that_began_before_the_key_was_made_does_not_settle_it(
    directory: Directory, projects: Projects, source: CountedChanges
) -> None:
    source.held = asyncio.Event()
    early = asyncio.create_task(directory.refresh())
    looks = source.looks
    await until(lambda: source.looks == looks + 1)
    key = (await projects.create_project("p")).keys[0].text
    finding = asyncio.create_task(directory.find(key))
    await asyncio.sleep(0)
    source.held.set()
    await early
    await finding


async def test_an_unknown_key_is_looked_for_once(directory: Directory, source: CountedChanges) -> None:
    key, before = stranger(), source.looks
    for _ in range(5):
        with pytest.raises(CredentialInvalid):
            await directory.find(key)
    assert source.looks == before + 1


async def test_guessing_cannot_wear_out_the_database_nor_refuse_a_new_key(
    projects: Projects, source: CountedChanges, clock: Clock
) -> None:
    directory = Directory(source, clock=clock, looks=TokenBucket(1, 3, clock))
    await directory.refresh()
    before = source.looks
    said = [await outcome(directory, stranger()) for _ in range(100)]
    assert [type(one) for one in said] == [CredentialInvalid] * 3 + [DirectoryUnavailable] * 97
    assert all(one.retry_after > 0 for one in said[3:])
    assert source.looks == before + 3

    guess, key = stranger(), (await projects.create_project("p")).keys[0].text
    for text in (guess, key):
        with pytest.raises(DirectoryUnavailable):
            await directory.find(text)
    # The look of the next second settles both, whatever the bucket holds.
    await directory.refresh()
    await directory.find(key)
    with pytest.raises(CredentialInvalid):
        await directory.find(guess)
    assert source.looks == before + 4


async def test_a_revocation_reaches_another_directory_within_its_interval(
    control_url: str, projects: Projects, keyring: Keyring
) -> None:
    key = (await projects.create_project("p")).keys[0]
    other = Directory(ControlChanges(ControlDb(control_url)), clock=time.monotonic, refresh_seconds=0.05)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(other.run())
        await until(lambda: other.healthy)
        await other.find(key.text)
        await keyring.revoke(key.id)
        async with asyncio.timeout(5):
            while True:
                try:
                    await other.find(key.text)
                except CredentialInvalid:
                    break
                await asyncio.sleep(0.01)
        running.cancel()


async def test_before_the_first_look_nothing_is_said_of_a_key(source: CountedChanges, clock: Clock) -> None:
    directory = Directory(source, clock=clock)
    with pytest.raises(DirectoryUnavailable):
        await directory.find(stranger())
    with pytest.raises(CredentialInvalid):
        await directory.find("nonsense")
    with pytest.raises(DirectoryUnavailable):
        directory.project("p")


async def test_known_keys_outlive_the_database_by_fifteen_minutes(
    directory: Directory, projects: Projects, source: CountedChanges, clock: Clock
) -> None:
    key = (await projects.create_project("p")).keys[0].text
    await directory.refresh()
    source.down = True
    with pytest.raises(DirectoryUnavailable):
        await directory.refresh()
    assert not directory.healthy
    looks = source.looks
    with pytest.raises(DirectoryUnavailable):
        await directory.find(stranger())
    assert source.looks == looks
    clock.now += 15 * 60
    await directory.find(key)
    assert directory.project("p") is not None
    clock.now += 0.5
    for ask in (lambda: directory.project("p"), directory.projects):
        with pytest.raises(DirectoryUnavailable):
            ask()
    with pytest.raises(DirectoryUnavailable):
        await directory.find(key)

    source.down = False
    await directory.refresh()
    assert directory.healthy
    await directory.find(key)


async def test_a_silent_database_holds_nobody_up(projects: Projects, source: CountedChanges, clock: Clock) -> None:
    directory = Directory(source, clock=clock, look_seconds=0.5, refresh_seconds=0.01)
    await directory.refresh()
    key = (await projects.create_project("p")).keys[0].text
    await directory.refresh()
    source.held = asyncio.Event()
    looks = source.looks
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(directory.run())
        await until(lambda: not directory.healthy)
        async with asyncio.timeout(5):
            await directory.find(key)
            for _ in range(3):
                with pytest.raises(DirectoryUnavailable):
                    await directory.find(stranger())
        assert source.looks == looks + 1
        source.held.set()
        await until(lambda: directory.healthy)
        running.cancel()


def break_file(file: Path) -> None:
    for path in file.parent.glob("control.db-*"):
        path.unlink()
    file.write_bytes(b"this is no database" * 1000)


def remove_file(file: Path) -> None:
    for path in file.parent.glob("control.db*"):
        path.unlink()


@ON_SQLITE
@pytest.mark.parametrize("ruin", [break_file, remove_file])
async def test_a_ruined_file_leaves_known_keys_and_heals(
    control_db: ControlDb, projects: Projects, clock: Clock, tmp_path: Path, ruin: Callable[[Path], None]
) -> None:
    directory = Directory(ControlChanges(control_db), clock=clock)
    key = (await projects.create_project("p")).keys[0].text
    await directory.refresh()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    ruin(tmp_path / "data" / "control.db")
    with pytest.raises(DirectoryUnavailable):
        await directory.refresh()
    await directory.find(key)
    with pytest.raises(DirectoryUnavailable):
        await directory.find(stranger())
    remove_file(tmp_path / "data" / "control.db")
    shutil.copytree(tmp_path / "copy", tmp_path / "data", dirs_exist_ok=True)
    await directory.refresh()
    with pytest.raises(CredentialInvalid):
        await directory.find(stranger())


@ON_SQLITE
async def test_a_locked_file_leaves_known_keys(
    control_url: str, projects: Projects, clock: Clock, tmp_path: Path
) -> None:
    directory = Directory(ControlChanges(ControlDb(control_url, read_seconds=0.5)), clock=clock)
    key = (await projects.create_project("p")).keys[0].text
    await directory.refresh()
    blocker = sqlite3.connect(tmp_path / "data" / "control.db", isolation_level=None)
    blocker.execute("PRAGMA locking_mode = EXCLUSIVE")
    blocker.execute("BEGIN EXCLUSIVE")
    async with asyncio.timeout(10):
        with pytest.raises(DirectoryUnavailable):
            await directory.refresh()
        await directory.find(key)
        with pytest.raises(DirectoryUnavailable):
            await directory.find(stranger())
    blocker.close()
    await directory.refresh()


@ON_SQLITE
async def test_an_older_copy_put_back_is_believed(
    control_db: ControlDb, projects: Projects, clock: Clock, tmp_path: Path
) -> None:
    directory = Directory(ControlChanges(control_db), clock=clock)
    old = (await projects.create_project("old")).keys[0].text
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    new = (await projects.create_project("new")).keys[0].text
    await directory.refresh()
    remove_file(tmp_path / "data" / "control.db")
    shutil.copytree(tmp_path / "copy", tmp_path / "data", dirs_exist_ok=True)
    await directory.refresh()
    await directory.find(old)
    with pytest.raises(CredentialInvalid):
        await directory.find(new)
    assert directory.project("new") is None


async def test_which_project_a_credential_may_write(
    control_db: ControlDb, directory: Directory, projects: Projects, keyring: Keyring
) -> None:
    one = await projects.create_project("one")
    two = await projects.create_project("two", organisation="one")
    foreign = await projects.create_project("foreign")
    gone = await projects.create_project("gone", organisation="one")
    key = await keyring.create("one", KeyKind.ORGANISATION, all_projects=True)
    bound_key = await keyring.create("one", KeyKind.ORGANISATION)
    gone_key = await keyring.create("gone", KeyKind.ORGANISATION, all_projects=True)
    async with control_db.change() as (session, change):
        await session.execute(
            update(ProjectRow).where(ProjectRow.id == gone.project.id).values(deleted_at=1, change=change)
        )
    organisation = await directory.find(key.text)
    bound = await directory.find(bound_key.text)
    public = await directory.find(one.keys[0].text)

    assert directory.project_for(organisation) == one.project
    assert directory.project_for(organisation, "two") == directory.project_for(organisation, two.project.id)
    assert directory.project_for(public) == directory.project_for(public, "one") == one.project
    assert foreign.project.organisation_id != one.project.organisation_id
    assert directory.project_for(bound) == directory.project_for(bound, "one") == one.project
    for credential, named in ((organisation, "foreign"), (organisation, "unknown"), (public, "two"), (bound, "two")):
        with pytest.raises(ProjectForbidden):
            directory.project_for(credential, named)
    with pytest.raises(ProjectGone):
        directory.project_for(organisation, "gone")
    with pytest.raises(ProjectGone):
        directory.project_for(await directory.find(gone_key.text))
    with pytest.raises(ProjectGone):
        directory.project_for(await directory.find(gone_key.text), "one")
    assert [project.slug for project in directory.deleted()] == ["gone"]
    assert directory.remembered("gone") == gone.project
    assert directory.project("gone") is None
    assert "gone" not in {project.slug for project in directory.projects()}


async def test_older_organisation_keys_open_all_projects_until_somebody_decides(
    control_db: ControlDb, directory: Directory, projects: Projects, keyring: Keyring
) -> None:
    await projects.create_project("one")
    await projects.create_project("two", organisation="one")
    await projects.create_project("alone")
    old, other, revoked, alone = [
        await keyring.create(name, KeyKind.ORGANISATION) for name in ("one", "one", "one", "alone")
    ]
    await keyring.revoke(revoked.id)
    async with control_db.change() as (session, change):
        await session.execute(update(KeyRow).where(KeyRow.id != other.id).values(all_projects=None, change=change))
    assert directory.project_for(await directory.find(old.text), "two").slug == "two"
    assert [(key.id, key.projects) for key in await keyring.unbound()] == [(old.id, ("one", "two"))]
    await keyring.bind(old.id, all_projects=False)
    assert await keyring.unbound() == []
    await directory.refresh()
    with pytest.raises(ProjectForbidden):
        directory.project_for(await directory.find(old.text), "two")
    assert directory.project_for(await directory.find(alone.text)).slug == "alone"


async def test_a_deleted_organisation_takes_its_projects_along(
    control_db: ControlDb, directory: Directory, projects: Projects
) -> None:
    made = await projects.create_project("p")
    async with control_db.change() as (session, change):
        await session.execute(update(OrganisationRow).values(deleted_at=1, change=change))
    credential = await directory.find(made.keys[0].text)
    with pytest.raises(ProjectGone):
        directory.project_for(credential)
    assert list(directory.projects()) == []


async def test_a_renamed_slug_is_followed(control_db: ControlDb, directory: Directory, projects: Projects) -> None:
    made = await projects.create_project("before")
    await directory.refresh()
    async with control_db.change() as (session, change):
        await session.execute(update(ProjectRow).values(slug="after", change=change))
    await directory.refresh()
    assert directory.project("before") is None
    assert directory.project("after") is not None
    assert directory.project("after").id == made.project.id


def test_keys_whose_hashes_begin_alike_are_told_apart() -> None:
    one, other = (KnownKey(name, b"8 bytes." + name.encode() * 24, None) for name in ("1", "2"))
    snapshot = Snapshot()
    snapshot.apply(Changes(0, 1, (), (), (one, other)))
    assert snapshot.key(one.hash) is one
    assert snapshot.key(other.hash) is other
    assert snapshot.key(b"8 bytes." + b"3" * 24) is None
