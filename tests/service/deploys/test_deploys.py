"""Versions of configs in the control DB, of both kinds."""

import asyncio
import itertools
from typing import Any

import pytest
from headgate_service.control_db.database import ControlDb
from headgate_service.deploys.deploys import Deploys
from headgate_service.directory.active_policies import ActivePolicies
from headgate_service.directory.project import Project
from headgate_service.directory.snapshot import NOTHING, ControlChanges
from headgate_service.errors import DeployUnknown, PolicyInvalid, ProjectUnknown
from headgate_service.projects.projects import Projects

EMPTY = {"formatVersion": 1}


class Journal:
    """An audit log in memory; told to, it fails as a real one might."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.fails = False

    def record(self, session: Any, action: str, target: str) -> None:
        if self.fails:
            raise RuntimeError("the audit log is full")
        self.entries.append((action, target))


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def deploys(control_db: ControlDb) -> Deploys:
    return Deploys(control_db, now_ms=itertools.count(1000).__next__)


@pytest.fixture
async def project(projects: Projects) -> Project:
    return (await projects.create_project("Shop")).project


async def test_each_deploy_is_a_version_and_the_active_one_again_is_none(deploys, project, journal):
    first = await deploys.deploy(project, EMPTY, "a@example.com", journal.record)
    second = await deploys.deploy(project, EMPTY | {"ip": "drop"}, "b@example.com", journal.record)
    again = await deploys.deploy(project, {**EMPTY, "ip": "drop", "origins": []}, "c@example.com", journal.record)
    assert [(one.version, list(one.changed)) for one in (first, second, again)] == [(1, []), (2, ["/ip"]), (2, [])]
    # What was active before is no longer: it is deployed anew, and history tells what happened.
    third = await deploys.deploy(project, EMPTY, "a@example.com", journal.record)
    assert (third.version, list(third.changed)) == (3, ["/ip"])
    found = await deploys.list(project, 0, 20)
    assert [(one.version, one.active, one.created_by) for one in found] == [
        (3, True, "a@example.com"),
        (2, False, "b@example.com"),
        (1, False, "a@example.com"),
    ]
    assert [one.version for one in await deploys.list(project, 3, 1)] == [2]
    assert journal.entries == [("deploy.create", "1"), ("deploy.create", "2"), ("deploy.create", "3")]


async def test_what_is_validated_changes_nothing(deploys, project, journal):
    await deploys.deploy(project, EMPTY, "a", journal.record)
    judged = await deploys.validate(project, EMPTY | {"ip": "drop"})
    assert (judged.version, list(judged.changed)) == (1, ["/ip"])
    with pytest.raises(PolicyInvalid):
        await deploys.validate(project, EMPTY | {"ip": "eat"})
    assert len(await deploys.list(project, 0, 20)) == 1


async def test_a_version_is_made_active_again_or_none_is(deploys, project, journal):
    await deploys.deploy(project, EMPTY | {"ip": "drop"}, "a", journal.record)
    await deploys.deploy(project, EMPTY | {"ip": "truncate"}, "a", journal.record)
    back = await deploys.activate(project, 1, journal.record)
    assert (back.version, list(back.changed)) == (1, ["/ip"])
    assert (await deploys.activate(project, 1, journal.record)).changed == []
    assert (await deploys.get(project, 0)).config["ip"] == "drop"
    assert (await deploys.activate(project, 0, journal.record)).version == 0
    assert await deploys.get(project, 0) is None
    with pytest.raises(DeployUnknown):
        await deploys.activate(project, 3, journal.record)
    assert journal.entries[2:] == [("deploy.activate", "1"), ("deploy.activate", "0")]


async def test_deploys_at_once_become_versions_one_after_another(deploys, project, journal):
    configs = [EMPTY | {"events": {f"e{n}": {}}} for n in range(6)]
    done = await asyncio.gather(*(deploys.deploy(project, one, "a", journal.record) for one in configs))
    assert sorted(one.version for one in done) == [1, 2, 3, 4, 5, 6]
    (active,) = (one for one in await deploys.list(project, 0, 20) if one.active)
    assert active.version == 6


async def test_a_deploy_that_cannot_be_written_down_is_none(deploys, project, journal):
    await deploys.deploy(project, EMPTY, "a", journal.record)
    journal.fails = True
    with pytest.raises(RuntimeError, match="audit"):
        await deploys.deploy(project, EMPTY | {"ip": "drop"}, "a", journal.record)
    with pytest.raises(RuntimeError, match="audit"):
        await deploys.activate(project, 0, journal.record)
    assert [(one.version, one.active) for one in await deploys.list(project, 0, 20)] == [(1, True)]


async def test_a_project_that_ended_takes_no_deploy(deploys, project, projects, journal):
    await projects.delete_project(project.id)
    with pytest.raises(ProjectUnknown):
        await deploys.deploy(project, EMPTY, "a", journal.record)


async def test_the_directory_learns_of_the_active_policy_by_the_change_counter(control_db, deploys, project, journal):
    source = ControlChanges(control_db, ActivePolicies(control_db, b"s"))

    async def learnt(since: int) -> tuple[int, dict[str, Any]]:
        changes = await source.load(since)
        return changes.until, {one.id: (one.deploy_version, one.policy) for one, _ in changes.projects}

    until, known = await learnt(NOTHING)
    assert known[project.id] == (0, None)
    await deploys.deploy(project, EMPTY | {"ip": "drop"}, "a", journal.record)
    await deploys.deploy(project, EMPTY | {"ip": "truncate"}, "a", journal.record)
    until, known = await learnt(until)
    version, policy = known[project.id]
    assert (version, policy.config.ip.value) == (2, "truncate")
    await deploys.activate(project, 1, journal.record)
    until, known = await learnt(until)
    assert known[project.id][1].config.ip.value == "drop"
    # A change of another kind reads no version again.
    _, everything = await learnt(NOTHING)
    assert everything[project.id][1] is known[project.id][1]
    await deploys.activate(project, 0, journal.record)
    _, known = await learnt(until)
    assert known[project.id] == (0, None)
