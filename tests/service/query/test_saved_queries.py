"""Queries that people saved: whose they are, and who may do what to them."""

import secrets
from typing import Any

import pytest
from headgate_service.auth.audit import UNKNOWN_ORIGIN, Author
from headgate_service.auth.passwords import Passwords
from headgate_service.auth.sessions import Sessions
from headgate_service.auth.users import Users
from headgate_service.config import SessionTerms
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.schema import migrate
from headgate_service.errors import InvalidArgument, LimitReached, QueryInvalid, RoleMissing, SavedQueryUnknown
from headgate_service.model.principal import Principal, PrincipalKind, Role
from headgate_service.projects.projects import Projects
from headgate_service.query import saved_queries
from headgate_service.query.saved_queries import SavedQueries

QUERY: dict[str, Any] = {
    "type": "metric",
    "projectId": "one",
    "event": "*",
    "dateRange": {"start": "2026-02-01", "end": "2026-02-02"},
}


class World:
    """A project, and people in it."""

    def __init__(self, database: ControlDb) -> None:
        self.now = 1_000
        clock: dict[str, Any] = {"random": secrets.token_bytes, "now_ms": lambda: self.now}
        self.projects = Projects(database, **clock)
        self.users = Users(database, Passwords(), Sessions(database, SessionTerms(), **clock), **clock)
        self.saved = SavedQueries(database, **clock)

    async def person(self, name: str, role: Role) -> Author:
        user = await self.users.create(f"{name}@example.com", "a password of tests", {"one": role})
        return Author(Principal(PrincipalKind.SESSION, user_id=user.id, email=user.email), UNKNOWN_ORIGIN)


@pytest.fixture
async def world(tmp_path):
    database = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/control.db")
    await migrate(database)
    made = World(database)
    await made.projects.create_project("one")
    yield made
    await database.close()


async def test_the_life_of_one(world):
    ann, project = await world.person("ann", Role.VIEWER), await world.projects.get("one")
    made = await world.saved.create(project, " Orders ", QUERY, ann)
    assert (made.name, made.author, made.query, made.created_at) == ("Orders", "ann@example.com", QUERY, 1_000)
    assert await world.saved.get(made.id) == made
    earlier = await world.saved.create(project, "A", QUERY, ann)
    assert [one.id for one in await world.saved.of(project.id)] == [earlier.id, made.id]
    world.now = 2_000
    changed = await world.saved.update(project, made.id, "Users", QUERY | {"metric": "unique_users"}, ann)
    assert await world.saved.get(made.id) == changed
    assert (changed.name, changed.created_at, changed.updated_at) == ("Users", 1_000, 2_000)
    assert changed.query["metric"] == "unique_users"
    await world.saved.delete(made.id, ann)
    with pytest.raises(SavedQueryUnknown):
        await world.saved.get(made.id)


async def test_others_queries_are_changed_by_admins(world):
    ann, bob = await world.person("ann", Role.MEMBER), await world.person("bob", Role.MEMBER)
    admin, project = await world.person("eve", Role.ADMIN), await world.projects.get("one")
    made = await world.saved.create(project, "Mine", QUERY, ann)
    with pytest.raises(RoleMissing):
        await world.saved.update(project, made.id, "Yours", QUERY, bob)
    with pytest.raises(RoleMissing):
        await world.saved.delete(made.id, bob)
    changed = await world.saved.update(project, made.id, "Ours", QUERY, admin)
    assert (changed.name, changed.author) == ("Ours", "ann@example.com")
    await world.saved.delete(made.id, admin)
    with pytest.raises(SavedQueryUnknown):
        await world.saved.delete(made.id, admin)


async def test_what_is_no_query_is_not_saved(world, monkeypatch):
    ann, project = await world.person("ann", Role.VIEWER), await world.projects.get("one")
    with pytest.raises(QueryInvalid) as refused:
        await world.saved.create(project, "x", QUERY | {"metric": "visits", "colour": 1}, ann)
    assert [fault.path for fault in refused.value.faults] == ["metric", "colour"]
    for name in ("", " ", "x" * 201):
        with pytest.raises(InvalidArgument):
            await world.saved.create(project, name, QUERY, ann)
    monkeypatch.setattr(saved_queries, "MAX_SAVED", 1)
    await world.saved.create(project, "x", QUERY, ann)
    with pytest.raises(LimitReached):
        await world.saved.create(project, "y", QUERY, ann)
