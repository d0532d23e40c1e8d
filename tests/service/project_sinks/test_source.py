"""What those who run projects' own sinks learn from the control DB, and what the service knows of such sinks."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from headgate.v1 import event_pb2
from headgate_service.config import ProjectSinkRules
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ProjectRow
from headgate_service.control_db.schema import migrate
from headgate_service.control_db.secret_box import SecretBox
from headgate_service.delivery.project_sinks import NOTHING, ProjectSinks
from headgate_service.deploys.deploys import Deploys
from headgate_service.directory.project import Project, living_project
from headgate_service.errors import ControlDbUnavailable, SinkUnknown
from headgate_service.model.route import Route
from headgate_service.model.sink import SinkSpec
from headgate_service.policy.policy import Policy
from headgate_service.project_sinks import rules as project_sink_rules
from headgate_service.project_sinks.secrets import ProjectSecrets
from headgate_service.project_sinks.serving import ActiveProjectSinks, SinksOf
from headgate_service.project_sinks.source import ProjectSinkChanges
from headgate_service.projects.projects import Projects
from headgate_service.sink_control.sinks import Sinks

SECRET = "whsec_" + "c2VjcmV0" * 4
KEY = b"k" * 32


def box(key: bytes = KEY) -> SecretBox:
    return SecretBox([key], secrets.token_bytes)


def hook(name: str = "orders", **more: Any) -> dict[str, Any]:
    config = {"url": "https://e.example"}
    return {"name": name, "use": "webhook", "config": config, "secrets": {"secret": SECRET}, **more}


class Control:
    """A control DB with two projects."""

    def __init__(self, database: ControlDb) -> None:
        self.database = database
        self.projects = Projects(database, random=secrets.token_bytes, now_ms=lambda: 1)
        self.deploys = Deploys(database, lambda: 1, ProjectSinkRules(), ProjectSecrets(box(), b"h" * 32))

    async def project(self, slug: str) -> Project:
        async with self.database.read() as session:
            return Project.of(await living_project(session, slug))

    async def deploy(self, slug: str, *sinks: dict[str, Any]) -> None:
        config = {"formatVersion": 1, "sinks": list(sinks)}
        await self.deploys.deploy(await self.project(slug), config, "ann", lambda *_: None)

    def changes(self, key: bytes = KEY, **rules: Any) -> ProjectSinkChanges:
        return ProjectSinkChanges(self.database, box(key), ProjectSinkRules(**rules))


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    database = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/control.db")
    await migrate(database)
    control = Control(database)
    for slug in ("shop", "blog"):
        await control.projects.create_project(slug)
    yield control
    await database.close()


async def test_a_route_that_an_earlier_release_took_is_a_fault_of_its_sink_alone(control: Control):
    with mock.patch.object(project_sink_rules, "project_route", Route):
        await control.deploy("shop", hook(route="properties.s.matches(properties.p)"), hook("other"))
    ((slow, other),) = [sinks for sinks in (await control.changes().load(NOTHING)).sinks.values() if sinks]
    assert "this release cannot read it: gives matches() a pattern that is not a constant" in slow.fault
    assert (slow.config.route, other.fault) == (None, "")


async def test_a_deploy_a_roll_back_and_an_end_are_learnt_of_once_each(control: Control):
    shop = await control.project("shop")
    changes = control.changes()
    first = await changes.load(NOTHING)
    assert {len(sinks) for sinks in first.sinks.values()} == {0}
    await control.deploy("shop", hook(route='event.name == "a"', whenFull="refuse"))
    second = await changes.load(first.until)
    ((sink,),) = second.sinks.values()
    assert (sink.name, sink.project_id, sink.shard, sink.version, sink.fault) == (
        "shop/orders", shop.id, shop.shard, 1, "",
    )  # fmt: skip
    assert sink.config.settings == {
        "url": "https://e.example", "secret": SECRET, "max_bytes": 262144, "allow_private": False,
    }  # fmt: skip
    assert (sink.config.when_full, sink.config.route and sink.config.route.source) == ("refuse", 'event.name == "a"')
    assert sink.config.serves(shop.id)
    assert not sink.config.serves((await control.project("blog")).id)
    assert (await changes.load(second.until)).sinks == {}

    await control.deploy("shop", hook(fields={"exclude": ["user_id"]}))
    ((changed,),) = (await changes.load(second.until)).sinks.values()
    assert not changed.same(sink)
    assert changed.config.spec_hash() != sink.config.spec_hash()
    await control.deploys.activate(shop, 1, lambda *_: None)
    ((back,),) = (await changes.load(second.until)).sinks.values()
    assert back.same(sink)

    async with control.database.change() as (session, change):
        row = await session.get(ProjectRow, shop.id)
        assert row is not None
        row.deleted_at, row.change = 1, change
    assert (await changes.load(second.until)).sinks == {shop.id: []}


async def test_what_cannot_run_says_why(control: Control):
    await control.deploy("shop", hook())
    ((sink,), *_) = [sinks for sinks in (await control.changes(key=b"x" * 32).load(NOTHING)).sinks.values() if sinks]
    assert "control.secrets_key" in sink.fault
    assert SECRET not in repr(sink)
    ((sink,), *_) = [
        sinks for sinks in (await control.changes(kinds=frozenset({"segment"})).load(NOTHING)).sinks.values() if sinks
    ]
    assert sink.fault == "the operator lets projects use 'webhook' no more"
    assert sink.config.settings == {}


async def test_a_control_db_that_is_not_there_is_not_made(tmp_path: Path):
    database = ControlDb(f"sqlite+aiosqlite:///{tmp_path}/elsewhere.db")
    with pytest.raises(ControlDbUnavailable, match=r"control\.database_url"):
        await ProjectSinkChanges(database, box(), ProjectSinkRules()).load(NOTHING)
    assert not (tmp_path / "elsewhere.db").exists()


async def test_an_older_copy_of_the_control_db_is_taken_for_all_there_is(control: Control):
    known = ProjectSinks(control.changes(), {})
    await control.deploy("shop", hook())
    await known.look()
    shop = await control.project("shop")
    assert known.readers(shop.id) == ["shop/orders"]
    known._since += 1000
    await known.look()
    assert known.readers(shop.id) == ["shop/orders"]


class Known:
    """A directory of projects."""

    def __init__(self, *projects: Project) -> None:
        self._projects = {name: one for one in projects for name in (one.id, one.slug)}

    def project(self, id_or_slug: str) -> Project | None:
        return self._projects.get(id_or_slug)


def project(slug: str, *sinks: dict[str, Any]) -> Project:
    config = {"formatVersion": 1, "sinks": list(sinks)}
    policy = Policy.parse(config, project_id=slug, secret=b"")
    return Project(f"prj_{slug}", slug, slug, "org", 1, None, None, deploy_version=1, policy=policy)


async def test_the_service_knows_own_sinks_and_which_of_them_refuse():
    shop = project("shop", hook(route='event.name == "a"'), hook("strict", whenFull="refuse"))
    blog = project("blog", hook())
    directory: Any = Known(shop, blog)
    operators = [SinkSpec(name="jsonl", when_full="refuse"), SinkSpec(name="crm", when_full="expire")]
    refusing = SinksOf(directory, operators, refusing=True)
    assert [refusing(shop.id), refusing(blog.id)] == [["jsonl", "shop/strict"], ["jsonl"]]
    every = SinksOf(directory, operators)
    assert every(shop.id) == ["jsonl", "crm", "shop/orders", "shop/strict"]
    assert await every.reached(shop.id, [event_pb2.Event(name="b")]) == ["jsonl", "crm", "shop/strict"]
    assert await every.reached(shop.id, [event_pb2.Event(name="a")]) == every(shop.id)
    assert SinksOf(directory, operators, ActiveProjectSinks(allowed=False))(shop.id) == ["jsonl", "crm"]


def test_own_sinks_are_found_by_project_and_name():
    shop, blog = project("shop", hook()), project("blog", hook())
    redis: Any = None
    sinks = Sinks(redis, [SinkSpec(name="orders", when_full="expire")], project=Known(shop, blog).project)
    assert sinks.rule("shop/orders").projects == {"prj_shop"}
    assert sinks.rule("orders").projects is None
    assert [rule.name for rule in sinks.rules_of(blog)] == ["orders", "blog/orders"]
    for name in ("shop/other", "none/orders", "shop/", "/orders"):
        with pytest.raises(SinkUnknown, match="PROJECT/NAME"):
            sinks.rule(name)
