"""Who may do what in which project."""

import asyncio
import secrets
import time

import pytest
from headgate_service.auth.access import Access
from headgate_service.auth.audit import UNKNOWN_ORIGIN, CallOrigin
from headgate_service.auth.cli_tokens import CliTokens
from headgate_service.auth.jwts import Jwts, fetch
from headgate_service.auth.passwords import Passwords
from headgate_service.auth.sessions import Sessions
from headgate_service.auth.users import Users
from headgate_service.config import SessionTerms
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow
from headgate_service.control_db.schema import migrate
from headgate_service.directory.directory import Directory
from headgate_service.directory.snapshot import ControlChanges
from headgate_service.errors import (
    CliTokenInvalid,
    CredentialInvalid,
    CredentialMissing,
    OrganisationUnknown,
    PersonRequired,
    ProjectUnknown,
    RoleMissing,
    ScopeMissing,
    UserUnknown,
)
from headgate_service.model.key import KeyKind
from headgate_service.model.principal import OPERATOR, Principal, PrincipalKind, Role
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import Projects
from sqlalchemy import select

DAY_MS = 24 * 3600 * 1000


class World:
    """A control DB with two projects, `one` and `two`, and a clock that tests move."""

    def __init__(self, database: ControlDb) -> None:
        self.now = 1_000_000
        self.database = database
        clock = {"random": secrets.token_bytes, "now_ms": lambda: self.now}
        self.sessions = Sessions(database, SessionTerms(), **clock)
        self.users = Users(database, Passwords(), self.sessions, **clock)
        self.projects = Projects(database, **clock)
        self.keyring = Keyring(database, **clock)
        self.directory = Directory(ControlChanges(database), clock=time.monotonic)
        self.access = Access(
            database, self.sessions, self.directory, Jwts((), fetch, now=time.time, clock=time.monotonic)
        )

    async def person(self, kind: PrincipalKind = PrincipalKind.SESSION, **roles: Role) -> str:
        """The text of a new person's session."""
        user = await self.users.create(f"{secrets.token_hex(4)}@example.com", "a password of tests", roles)
        async with self.database.change() as (session, _):
            return self.sessions.add(session, user.id, kind).text

    async def principal(self, text: str) -> Principal:
        return await self.access.principal([("authorization", f"Bearer {text}")])


async def populated(database: ControlDb) -> World:
    world = World(database)
    await world.projects.create_project("one")
    await world.projects.create_project("two", organisation="one")
    return world


@pytest.fixture
async def world(tmp_path):
    database = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/control.db")
    await migrate(database)
    yield await populated(database)
    await database.close()


@pytest.fixture
async def each_world(control_db):
    """The same, on SQLite and on PostgreSQL."""
    return await populated(control_db)


async def test_a_role_opens_what_it_covers_and_no_other_project(each_world):
    world = each_world
    person = await world.principal(await world.person(one=Role.MEMBER))
    for least in (Role.VIEWER, Role.MEMBER):
        assert (await world.access.project(person, "one", least)).slug == "one"
    for least in (Role.ADMIN, Role.OWNER):
        with pytest.raises(RoleMissing):
            await world.access.project(person, "one", least)
    unknown = []
    for name in ("two", "nowhere"):
        with pytest.raises(ProjectUnknown) as refused:
            await world.access.project(person, name, Role.VIEWER)
        unknown.append(str(refused.value).replace(name, "NAME"))
    assert unknown[0] == unknown[1]


async def test_a_session_ends_when_idle_and_at_its_age(world):
    text = await world.person()
    for _ in range(13):
        world.now += DAY_MS - 1
        await world.principal(text)
    world.now += DAY_MS - 1
    await world.principal(text)
    world.now += 20
    with pytest.raises(CredentialInvalid):
        await world.principal(text)
    idle = await world.person()
    world.now += DAY_MS
    with pytest.raises(CredentialInvalid):
        await world.principal(idle)


async def test_a_use_that_does_not_count_lets_a_session_idle(world):
    text = await world.person()
    world.now += DAY_MS - 1
    await world.access.principal([("authorization", f"Bearer {text}")], used=False)
    world.now += 1
    with pytest.raises(CredentialInvalid):
        await world.principal(text)


async def test_an_access_token_is_never_idle_but_ends(world):
    text = await world.person(PrincipalKind.CLI)
    world.now += 90 * DAY_MS - 1
    assert (await world.principal(text)).kind is PrincipalKind.CLI
    world.now += 1
    with pytest.raises(CredentialInvalid):
        await world.principal(text)


@pytest.mark.parametrize("text", ["hgs_", "hgt_x", "x", "a.b.c", "sk_live_nothing", "org_live_nothing", "ü"])
async def test_what_opens_nothing_is_refused(world, text):
    await world.directory.refresh()
    with pytest.raises(CredentialInvalid):
        await world.principal(text)


@pytest.mark.parametrize("metadata", [None, [], [("authorization", "Bearer ")], [("authorization", "Basic x")]])
async def test_without_a_credential_that_is_said(world, metadata):
    with pytest.raises(CredentialMissing):
        await world.access.principal(metadata)


async def test_an_organisation_key_stays_in_its_project(world):
    key = await world.keyring.create("one", KeyKind.ORGANISATION, ["analytics:read"])
    await world.directory.refresh()
    caller = await world.principal(key.text)
    assert (await world.access.project(caller, "one", Role.VIEWER, "analytics:read")).slug == "one"
    with pytest.raises(ProjectUnknown):
        await world.access.project(caller, "two", Role.VIEWER, "analytics:read")


async def test_a_secret_key_reads_the_analytics_of_its_project(world):
    key = await world.keyring.create("one", KeyKind.SECRET)
    await world.directory.refresh()
    caller = await world.principal(key.text)
    assert (await world.access.project(caller, "one", Role.VIEWER, "analytics:read")).slug == "one"
    for scope, refused in (("events:write", ScopeMissing), ("logs:read", ScopeMissing), ("", PersonRequired)):
        with pytest.raises(refused):
            await world.access.project(caller, "one", Role.VIEWER, scope)
    with pytest.raises(ProjectUnknown):
        await world.access.project(caller, "two", Role.VIEWER, "analytics:read")


@pytest.mark.parametrize("kind", [KeyKind.PUBLIC, KeyKind.TEST])
async def test_public_keys_are_no_credentials(world, kind):
    key = await world.keyring.create("one", kind)
    await world.directory.refresh()
    with pytest.raises(CredentialInvalid):
        await world.principal(key.text)


async def test_a_key_of_all_projects_ends_with_its_own(world):
    key = await world.keyring.create("one", KeyKind.ORGANISATION, ["analytics:read"], all_projects=True)
    await world.projects.delete_project("one")
    await world.directory.refresh()
    with pytest.raises(CredentialInvalid):
        await world.principal(key.text)


async def test_a_key_of_all_projects_does_what_its_scopes_say_in_its_organisation(world):
    key = await world.keyring.create("one", KeyKind.ORGANISATION, ["analytics:read"], all_projects=True)
    await world.directory.refresh()
    caller = await world.principal(key.text)
    for name in ("one", "two"):
        assert (await world.access.project(caller, name, Role.VIEWER, "analytics:read")).slug == name
    with pytest.raises(ScopeMissing):
        await world.access.project(caller, "one", Role.VIEWER, "events:write")
    with pytest.raises(PersonRequired):
        await world.access.project(caller, "one", Role.VIEWER)
    stranger = Principal(PrincipalKind.KEY, scopes=frozenset({"analytics:read"}), organisation_id="org_other")
    with pytest.raises(ProjectUnknown):
        await world.access.project(stranger, "one", Role.VIEWER, "analytics:read")


async def test_a_token_stays_in_the_projects_it_names(world):
    caller = Principal(PrincipalKind.JWT, scopes=frozenset({"analytics:read"}), project_ids=frozenset({"one"}))
    assert (await world.access.project(caller, "one", Role.OWNER, "analytics:read")).slug == "one"
    with pytest.raises(ProjectUnknown):
        await world.access.project(caller, "two", Role.VIEWER, "analytics:read")


async def test_the_operator_may_do_everything_in_every_project(world):
    assert (await world.access.project(OPERATOR, "two", Role.OWNER)).slug == "two"
    with pytest.raises(ProjectUnknown):
        await world.access.project(OPERATOR, "nowhere", Role.VIEWER)


async def test_of_many_who_redeem_a_token_at_once_one_gets_it(each_world):
    world = each_world
    person = await world.principal(await world.person())
    terms = SessionTerms()
    tokens = CliTokens(world.database, world.sessions, terms, random=secrets.token_bytes, now_ms=lambda: world.now)
    token = await tokens.create(person, UNKNOWN_ORIGIN)
    tries = (tokens.redeem(token.text, UNKNOWN_ORIGIN) for _ in range(20))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, CliTokenInvalid)]
    (won,) = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(lost) == 19
    assert (await world.principal(won[1].text)).user_id == person.user_id
    late = await tokens.create(person, UNKNOWN_ORIGIN)
    world.now += terms.once_ms
    with pytest.raises(CliTokenInvalid):
        await tokens.redeem(late.text, UNKNOWN_ORIGIN)


async def test_a_disabled_person_redeems_nothing(world):
    person = await world.principal(await world.person())
    tokens = CliTokens(
        world.database, world.sessions, SessionTerms(), random=secrets.token_bytes, now_ms=lambda: world.now
    )
    token = await tokens.create(person, UNKNOWN_ORIGIN)
    await world.users.disable(person.email)
    with pytest.raises(CliTokenInvalid):
        await tokens.redeem(token.text, UNKNOWN_ORIGIN)


async def test_each_change_is_in_the_audit_log_with_who_and_from_where(each_world):
    world = each_world
    user = await world.users.create("ada@example.com", "a password of tests", {"one": Role.ADMIN})
    person = Principal(PrincipalKind.SESSION, user.id, user.email, credential_id="ses_1")
    await world.users.change_password(person, "hash", CallOrigin("203.0.113.9", "request-1"))
    await world.users.disable(user.email)
    async with world.database.read() as session:
        rows = (await session.scalars(select(AuditRow).order_by(AuditRow.id))).all()
        told = [(row.actor, row.credential, row.action, row.target, row.address) for row in rows]
    assert told[-4:] == [
        ("operator", "operator", "user.create", "ada@example.com", ""),
        ("operator", "operator", "member.set", "ada@example.com admin", ""),
        ("ada@example.com", "session", "user.password", "ada@example.com", "203.0.113.9"),
        ("operator", "operator", "user.disable", "ada@example.com", ""),
    ]


@pytest.mark.parametrize("name", ["", "x" * 10_000, "\N{GRINNING FACE}"])
async def test_names_that_no_database_holds_are_of_nothing(world, name):
    with pytest.raises(ProjectUnknown):
        await world.access.project(OPERATOR, name, Role.VIEWER)
    with pytest.raises(ProjectUnknown):
        await world.users.create("ada@example.com", "a password of tests", {name: Role.VIEWER})
    with pytest.raises(UserUnknown):
        await world.users.disable(name)
    if name:
        with pytest.raises(OrganisationUnknown):
            await world.users.create("ada@example.com", "a password of tests", organisation=name)
