"""People's projects, memberships and what is told of their changes, on every kind of control DB."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from headgate_service.auth.audit import THE_OPERATOR, Author
from headgate_service.auth.audit_log import AuditLog
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import DeployRow, OrganisationRow, UserRow
from headgate_service.errors import (
    KeyRevoked,
    KeyUnknown,
    LastOwner,
    MemberUnknown,
    ProjectUnknown,
    RoleMissing,
    SlugTaken,
    UserUnknown,
)
from headgate_service.model.key import KeyKind
from headgate_service.model.principal import OPERATOR, Principal, PrincipalKind, Role
from headgate_service.projects.catalogue import Catalogue
from headgate_service.projects.keyring import HeldKey, Keyring
from headgate_service.projects.members import Members
from headgate_service.projects.projects import Ended, Projects

Enrol = Callable[[str], Awaitable[Author]]


@pytest.fixture
def members(control_db: ControlDb, now_ms: Callable[[], int]) -> Members:
    return Members(control_db, now_ms)


@pytest.fixture
def catalogue(control_db: ControlDb) -> Catalogue:
    return Catalogue(control_db)


@pytest.fixture
def enrol(control_db: ControlDb) -> Enrol:
    """Makes a person with an organisation of their own."""

    async def make(name: str) -> Author:
        email = f"{name}@example.com"
        async with control_db.change() as (session, change):
            session.add(OrganisationRow(id=f"org_{name}", slug=f"org-{name}", name=name, created_at=1, change=change))
            await session.flush()
            session.add(
                UserRow(id=f"usr_{name}", email=email, password="x", organisation_id=f"org_{name}", created_at=1)
            )
        return Author(
            Principal(PrincipalKind.SESSION, user_id=f"usr_{name}", email=email, organisation_id=f"org_{name}")
        )

    return make


async def test_a_project_is_listed_to_its_members_with_their_roles(
    projects: Projects, members: Members, catalogue: Catalogue, enrol: Enrol
) -> None:
    ada, bob = await enrol("ada"), await enrol("bob")
    shop = (await projects.create_project("Shop", by=ada)).project
    await projects.create_project("Of the operator")
    assert await catalogue.of(bob.principal) == []
    await members.set(shop.id, " Bob@Example.com ", Role.MEMBER, THE_OPERATOR)
    assert [(one.project.slug, one.role) for one in await catalogue.of(bob.principal)] == [("shop", Role.MEMBER)]
    assert [one.organisation for one in await catalogue.of(ada.principal)] == ["org-ada"]
    assert [(one.project.slug, one.role) for one in await catalogue.of(OPERATOR)] == [
        ("of-the-operator", None),
        ("shop", None),
    ]
    assert [(one.email, one.role) for one in await members.of(shop.id)] == [
        ("ada@example.com", Role.OWNER),
        ("bob@example.com", Role.MEMBER),
    ]
    await members.remove(shop.id, "usr_bob", ada)
    assert await catalogue.of(bob.principal) == []
    with pytest.raises(MemberUnknown):
        await members.remove(shop.id, "usr_bob", ada)
    # Whether or not somebody has an account, only the operator makes them a member.
    for stranger in ("nobody@example.com", "usr_bob"):
        with pytest.raises(MemberUnknown):
            await members.set(shop.id, stranger, Role.MEMBER, ada)
    with pytest.raises(UserUnknown):
        await members.set(shop.id, "nobody@example.com", Role.MEMBER, THE_OPERATOR)


async def test_of_two_owners_who_leave_at_once_one_stays(projects: Projects, members: Members, enrol: Enrol) -> None:
    ada, bob = await enrol("ada"), await enrol("bob")
    shop = (await projects.create_project("Shop", by=ada)).project
    await members.set(shop.id, "usr_bob", Role.OWNER, THE_OPERATOR)
    ended = await asyncio.gather(
        members.remove(shop.id, "usr_ada", ada), members.remove(shop.id, "usr_bob", bob), return_exceptions=True
    )
    assert sorted(type(one) for one in ended if one is not None) == [LastOwner]
    assert len(await members.of(shop.id)) == 1


async def test_an_owner_who_was_disabled_is_no_other_owner(
    control_db: ControlDb, projects: Projects, members: Members, enrol: Enrol
) -> None:
    ada = await enrol("ada")
    await enrol("bob")
    shop = (await projects.create_project("Shop", by=ada)).project
    await members.set(shop.id, "usr_bob", Role.OWNER, THE_OPERATOR)
    async with control_db.change() as (session, _):
        (await session.get_one(UserRow, "usr_bob")).disabled_at = 1
    with pytest.raises(LastOwner):
        await members.set(shop.id, "usr_ada", Role.ADMIN, ada)
    await members.remove(shop.id, "usr_bob", ada)
    with pytest.raises(UserUnknown):
        await members.set(shop.id, "usr_bob", Role.VIEWER, THE_OPERATOR)


async def test_whose_membership_ended_since_changes_nothing(projects: Projects, members: Members, enrol: Enrol) -> None:
    ada, bob = await enrol("ada"), await enrol("bob")
    shop = (await projects.create_project("Shop", by=ada)).project
    with pytest.raises(ProjectUnknown):
        await members.set(shop.id, "usr_bob", Role.OWNER, bob)
    await members.set(shop.id, "usr_bob", Role.VIEWER, THE_OPERATOR)
    with pytest.raises(RoleMissing):
        await members.set(shop.id, "usr_bob", Role.MEMBER, bob)
    assert (await members.set(shop.id, "usr_bob", Role.ADMIN, THE_OPERATOR)).role is Role.ADMIN


async def test_who_owns_an_organisation_owns_all_of_its_projects(
    projects: Projects, members: Members, catalogue: Catalogue, enrol: Enrol
) -> None:
    ada, bob = await enrol("ada"), await enrol("bob")
    shop = (await projects.create_project("Shop", by=ada)).project
    assert await catalogue.owns_organisation(ada.principal, "org_ada")
    await members.set(shop.id, "usr_bob", Role.OWNER, THE_OPERATOR)
    blog = (await projects.create_project("Blog", by=ada)).project
    assert not await catalogue.owns_organisation(bob.principal, "org_ada")
    await projects.delete_project(blog.id, ada)
    assert await catalogue.owns_organisation(bob.principal, "org_ada")
    assert not await catalogue.owns_organisation(Principal(PrincipalKind.JWT), "org_ada")
    assert await catalogue.owns_organisation(OPERATOR, "org_ada")


async def test_the_end_of_a_project_is_counted_and_keeps_its_slug(
    control_db: ControlDb, projects: Projects, keyring: Keyring, members: Members, enrol: Enrol
) -> None:
    ada = await enrol("ada")
    made = await projects.create_project("Shop", by=ada)
    await keyring.revoke(made.keys[0].id, by=ada)
    async with control_db.change() as (session, _):
        for version in (1, 2):
            session.add(
                DeployRow(
                    project_id=made.project.id, version=version, config="{}", changed=[], created_by="", created_at=1
                )
            )
    assert await projects.delete_project("shop", ada) == Ended(keys=2, members=1, deploys=2)
    for call in (projects.delete_project("shop"), projects.get("shop"), keyring.create("shop", KeyKind.PUBLIC)):
        with pytest.raises(ProjectUnknown):
            await call
    with pytest.raises(SlugTaken):
        await projects.create_project("Shop")


async def test_a_key_is_rotated_until_it_is_revoked(projects: Projects, keyring: Keyring) -> None:
    made = await projects.create_project("p")
    other = await projects.create_project("q")
    old = await keyring.create("p", KeyKind.ORGANISATION, ["logs:read"])
    new = await keyring.rotate("p", old.id)
    assert (new.kind, new.scopes) == (old.kind, old.scopes)
    assert new.text != old.text
    await keyring.revoke(old.id, made.project.id)
    with pytest.raises(KeyRevoked):
        await keyring.rotate("p", old.id)
    for key_id, project in ((other.keys[0].id, made.project), (new.id, other.project), ("key_nope", made.project)):
        with pytest.raises(KeyUnknown):
            await keyring.revoke(key_id, project.id)
    held = await keyring.of(made.project.id)
    assert [key.id for key in held] == [*(key.id for key in made.keys), old.id, new.id]
    assert [key.id for key in held if key.revoked_at is not None] == [old.id]
    assert isinstance(held[0], HeldKey)


async def test_a_page_of_the_audit_log_follows_another(control_db: ControlDb, projects: Projects, enrol: Enrol) -> None:
    ada = await enrol("ada")
    shop = (await projects.create_project("Shop", by=ada)).project
    for number in range(4):
        await projects.update_project(shop.id, name=f"Shop {number}", by=ada)
    await projects.create_project("Another", by=ada)
    log = AuditLog(control_db)
    first = await log.of(shop.id, 3, 0)
    rest = await log.of(shop.id, 3, first[-1].id)
    assert [entry.action for entry in (*first, *rest)] == ["project.update"] * 4 + ["project.create"]
    assert {entry.actor for entry in first} == {"ada@example.com"}


async def test_what_fails_leaves_no_entry(control_db: ControlDb, projects: Projects, enrol: Enrol) -> None:
    ada = await enrol("ada")
    shop = (await projects.create_project("Shop", by=ada)).project
    with pytest.raises(SlugTaken):
        await projects.create_project("Shop", by=ada)
    with pytest.raises(KeyUnknown):
        await Keyring(control_db, random=lambda size: b"x" * size, now_ms=lambda: 1).revoke("key_nope", by=ada)
    assert len(await AuditLog(control_db).of(shop.id, 0, 0)) == 1
