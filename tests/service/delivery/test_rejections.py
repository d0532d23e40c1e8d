"""A project whose events a shared sink does not accept waits alone."""

import json

import pytest
from aiohttp import web
from headgate_service.delivery.books import Ledger
from headgate_service.delivery.in_process_sink import InProcessSink
from headgate_service.directory.project import Project
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import shard_keys
from headgate_service.sink_control.sinks import Sinks
from headgate_sinks import Batch, Reject, Result

SHARD = 9
KEYS = shard_keys(SHARD)


def refuse_project(*names: str):
    """As a target that answers for whole batches."""

    def refuse(request: web.Request, body: bytes) -> web.Response | None:
        events = json.loads(body)["data"]["events"]
        bad = any(event["projectId"] in names for event in events)
        return web.Response(status=422, text="not these") if bad else None

    return refuse


@pytest.fixture
def count(redis):
    async def count(project: str, what: str, sink: str = "hook") -> int:
        return int(await redis.hget(KEYS.project(project).cursors, f"{what}:{sink}") or 0)

    return count


@pytest.fixture
def send(producer):
    async def send(project: str, events: int, times: int = 1) -> None:
        for _ in range(times):
            await producer.append(project, events, shard=SHARD)

    return send


@pytest.fixture
def assert_balanced(producer):
    async def check(*sinks: str) -> None:
        for project, sent in producer.sent.items():
            for book in await Ledger(producer.pipeline, entries_at_once=7).books(KEYS, project, sinks):
                assert book.difference == 0, book
                assert book.accepted == len(sent)

    return check


async def test_other_projects_events_go_on(rig, target, producer, send, count, assert_balanced):
    target.refuse = refuse_project("bad")
    async with rig.forwarding(rig.config(rig.webhook(max_events=20))):
        await send("bad", 10, 20)
        await send("good", 10, 20)
        await rig.eventually(lambda: target.taken["good"] == producer.sent["good"], "the other project's events")
        await send("good", 10, 5)
        await rig.eventually(lambda: target.taken["good"] == producer.sent["good"], "what came later")
        assert await count("bad", "dead") == 99
        assert await count("bad", "delivered") == 0
        await assert_balanced("hook")
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken["bad"] == producer.sent["bad"][99:], "what waited")
    await assert_balanced("hook")
    assert await count("bad", "dead") == 99
    target.assert_resends_are_identical()


async def test_the_project_that_waits_is_shown_and_no_other(rig, target, producer, send):
    target.refuse = refuse_project("bad")
    sinks = Sinks(producer.pipeline, [SinkSpec(name="hook", when_full="expire", use="webhook")])
    projects = [Project(name, name, name, "org", SHARD, None, None) for name in ("bad", "good")]

    async def states() -> dict[str, tuple[str, str]]:
        (view,) = await sinks.view(projects)
        return {project.slug: view.of(project) for project, _ in view.books}

    async with rig.forwarding(rig.config(rig.webhook(max_events=20))):
        await send("good", 10, 20)
        await send("bad", 10, 20)

        async def paused() -> bool:
            return (await states())["bad"][0] == "PAUSED"

        await rig.eventually(paused, "a pause")
        bad, good = (await states())["bad"], (await states())["good"]
        assert "rejects too much, 100 of the last 100 events" in bad[1]
        assert "http_422" in bad[1]
        assert good == ("RUNNING", "")
        target.refuse = lambda request, body: None

        async def running() -> bool:
            return (await states())["bad"][0] == "RUNNING"

        await rig.eventually(running, "that it goes on")


async def test_what_waits_outlasts_an_exit_and_takes_a_new_number(rig, target, producer, send, count, assert_balanced):
    """A target that knows batches by their numbers would take an older one for a repeat."""
    last: dict[str, int] = {}
    stale: list[str] = []

    def refuse(request: web.Request, body: bytes) -> web.Response | None:
        number = int(request.headers["webhook-id"].rpartition("-")[2])
        refusal = refuse_project("bad")(request, body) if last.get("refusing", 1) else None
        if refusal is None:
            if number < last.get("number", 0):
                stale.append(request.headers["webhook-id"])
            last["number"] = max(number, last.get("number", 0))
        return refusal

    target.refuse = refuse
    config = rig.config(rig.webhook(max_events=20), pause=3600.0)
    async with rig.forwarding(config):
        await send("bad", 10, 20)
        await send("good", 10, 20)
        await rig.eventually(lambda: target.taken["good"] == producer.sent["good"], "the other project's events")
    await assert_balanced("hook")
    last["refusing"] = 0
    async with rig.forwarding(config):
        await rig.eventually(lambda: target.taken["bad"] == producer.sent["bad"][99:], "what waited")
    assert stale == []
    await assert_balanced("hook")
    assert await count("bad", "dead") == 99


async def test_what_a_target_took_of_a_held_project_is_not_sent_again(
    rig, target, producer, send, count, monkeypatch, assert_balanced
):
    """One that answers for each event: a quarter of the project's are good."""
    taken: list[str] = []
    refusing = True

    async def write(self: InProcessSink, batch: Batch) -> Result:
        bad = tuple(
            place
            for place, event in enumerate(batch.events)
            if refusing and event.project_id == "bad" and int(event.name.rpartition("/")[2]) % 4
        )
        taken.extend(event.name for place, event in enumerate(batch.events) if place not in bad)
        return Result((Reject(bad, "no", "not these"),) if bad else ())

    monkeypatch.setattr(InProcessSink, "write", write)
    async with rig.forwarding(rig.config(rig.webhook(max_events=50))):
        await send("bad", 10, 30)
        await send("good", 10, 30)
        await rig.eventually(lambda: set(producer.sent["good"]) <= set(taken), "the other project's events")
        dead = await count("bad", "dead")
        assert 0 < dead < 100
        await assert_balanced("hook")
        refusing = False
        await rig.eventually(lambda: len(taken) == 600 - dead, "the rest")
    assert len(set(taken)) == len(taken) == 600 - dead
    assert await count("bad", "delivered") == 300 - dead
    await assert_balanced("hook")
