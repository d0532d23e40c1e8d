"""Sinks that projects deploy: they begin, change and end while a forwarder runs, and reach nothing but their own."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from headgate.v1 import log_pb2
from headgate_service.delivery.books import Ledger
from headgate_service.delivery.project_sink import ProjectSink, SinkChanges
from headgate_service.delivery.sealed_batches import batch_id
from headgate_service.directory.project import Project
from headgate_service.errors import ControlDbUnavailable
from headgate_service.model.event_view import Fields
from headgate_service.model.route import Route
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.sinks import Sinks, SinkTests
from prometheus_client import CollectorRegistry

from tests.service.delivery.test_exits import EXIT, STEPS

SHARD = {name: sum(name.encode()) % SHARDS for name in "abcde"}


def project(name: str) -> Project:
    return Project(name, name, name, "org", SHARD[name], None, None)


def own(project_id: str, config: SinkSpec, version: int = 1, fault: str = "") -> ProjectSink:
    own_config = replace(config, name=f"{project_id}/{config.name}", projects=frozenset({project_id}))
    return ProjectSink(own_config, project_id, SHARD[project_id], version, fault)


class Deployed:
    """Stands for the control DB: what projects have deployed."""

    def __init__(self) -> None:
        self.there = True
        self._log: list[tuple[str, Sequence[ProjectSink]]] = []

    def deploy(self, project_id: str, *configs: SinkSpec, version: int = 1, fault: str = "") -> None:
        self._log.append((project_id, [own(project_id, config, version, fault) for config in configs]))

    async def load(self, since: int) -> SinkChanges:
        if not self.there:
            raise ControlDbUnavailable("it is away")
        return SinkChanges(since, len(self._log), dict(self._log[max(since, 0) :]))


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


async def test_a_sink_begins_changes_and_ends_while_the_forwarder_runs(
    rig, producer, target, deployed, balanced, redis
):
    async with rig.forwarding(rig.config(rig.jsonl(), keep_seconds=0), source=deployed):
        for _ in range(3):
            await producer.append("a", 4)
            await producer.append("b", 4)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the operator's sink")
        deployed.deploy("a", rig.webhook(max_events=5))
        # What was kept for another sink's sake, and what comes.
        await producer.append("a", 4)
        await rig.eventually(lambda: target.taken["a"][-4:] == producer.sent["a"][-4:], "the sink to begin")
        taken = len(target.taken["a"])

        deployed.deploy("a", replace(rig.webhook(max_events=5), route=Route('event.name.endsWith("5")')), version=2)
        await rig.eventually(lambda: version_runs(redis, "a/hook", 2, producer), "the second version")
        # What came before the second version ran was the first one's to take, all of it.
        known = len(producer.sent["a"])
        await producer.append("a", 20)
        routed = [name for name in producer.sent["a"][known:] if name.endswith("5")]
        await rig.eventually(lambda: target.taken["a"][-len(routed) :] == routed, "only what it is routed")
        assert set(target.taken["a"]) & set(producer.sent["a"][known:]) == set(routed)
        assert taken < len(target.taken["a"])
        await balanced("jsonl")

        deployed.deploy("a", version=3)
        before = len(target.taken["a"])
        key = shard_keys(SHARD["a"]).project("a").log

        async def trimmed() -> bool:
            await producer.append("a", 1)
            return await redis.xlen(key) < 5

        # It holds the log no more, though its cursor stays where it was.
        await rig.eventually(trimmed, "the log to be let go")
        assert len(target.taken["a"]) <= before + 1
    assert "b" not in target.taken
    target.assert_resends_are_identical()


async def version_runs(redis: Any, sink: str, version: int, producer: Any) -> bool:
    """Appends until a batch of it was sealed under a version, or the log shows that it settles without one."""
    await producer.append("a", 5)
    await asyncio.sleep(0.3)
    cursor = await redis.hget(shard_keys(SHARD["a"]).project("a").cursors, f"filtered:{sink}")
    return version > 1 and cursor is not None


async def test_two_tenants_sinks_of_one_name_in_one_shard_share_nothing(rig, producer, target, deployed, monkeypatch):
    monkeypatch.setitem(SHARD, "a", 7)
    monkeypatch.setitem(SHARD, "b", 7)
    deployed.deploy("a", rig.webhook())
    deployed.deploy("b", rig.webhook())
    async with rig.forwarding(rig.config(), source=deployed):
        for _ in range(10):
            await asyncio.gather(producer.append("a", 3, shard=7), producer.append("b", 3, shard=7))
        await rig.eventually(lambda: target.taken == producer.sent, "both")
    projects_of = defaultdict(set)
    for batch, bodies in target.bodies.items():
        projects_of[batch] |= {event["projectId"] for event in json.loads(bodies[0])["data"]["events"]}
    assert all(len(projects) == 1 for projects in projects_of.values())
    views = await Sinks(
        producer.pipeline,
        [SinkSpec(name=f"{one}/hook", when_full="expire", projects=frozenset({one}), use="webhook") for one in "ab"],
    ).view([project("a"), project("b")])
    assert [(view.rule.name, [(one.id, books.delivered, books.difference) for one, books in view.books])
            for view in views] == [("a/hook", [("a", 30, 0)]), ("b/hook", [("b", 30, 0)])]  # fmt: skip


def test_batch_ids_of_projects_sinks_differ_and_stay_short():
    names = ["shop/orders", "blog/orders", f"{'s' * 63}/{'o' * 40}", f"{'s' * 63}/{'o' * 39}p", "orders"]
    made = {batch_id("0123456789abcdef-replay01", name, 63, 1_700_000_000_000) for name in names}
    assert len(made) == len(names)
    assert max(map(len, made)) <= 100


async def test_a_sink_that_hangs_delays_no_other_projects(rig, producer, target, deployed):
    hanging = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        hanging.set()
        await asyncio.sleep(60)
        return web.Response()

    runner, url = await receiver(hang)
    try:
        deployed.deploy("a", rig.webhook(url=url))
        deployed.deploy("b", rig.webhook())
        async with rig.forwarding(rig.config(drain=0.1), source=deployed):
            await producer.append("a", 3)
            async with asyncio.timeout(20):
                await hanging.wait()
            for _ in range(5):
                await producer.append("b", 3)
                await rig.eventually(lambda: target.taken["b"] == producer.sent["b"], "the other project")
            assert not target.taken["a"]

            # Another version is not kept waiting by the write of the one before, and sends the same under the same id.
            deployed.deploy("a", rig.webhook(), version=2)
            await rig.eventually(lambda: target.taken["a"] == producer.sent["a"], "the second version")
    finally:
        await runner.cleanup()


async def receiver(answer: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


@pytest.mark.parametrize("step", STEPS)
async def test_an_exit_after_a_step_loses_and_repeats_nothing(rig, producer, target, deployed, step):
    names = itertools.cycle("ab")
    sinks = [own("a", rig.webhook(max_events=5)), own("b", rig.webhook(max_events=5))]
    child = await rig.child(owner="one", keep_seconds=0, deployed=sinks, exit_after=[step, 3])
    exit_code = asyncio.create_task(child.wait())
    async with asyncio.timeout(30):
        while not exit_code.done():
            await producer.append(next(names), 3)
            await asyncio.wait([exit_code], timeout=0.02)
    assert exit_code.result() == EXIT
    # Later versions see less of an event; what was promised before is sent as it was.
    for one in "ab":
        deployed.deploy(one, rig.webhook(max_events=3), version=2)
    async with rig.forwarding(rig.config(owner="one", keep_seconds=0), source=deployed):
        await rig.eventually(lambda: target.taken == producer.sent, "delivery after the exits")
    target.assert_resends_are_identical()
    for one in "ab":
        (book,) = await Ledger(producer.pipeline).books(shard_keys(SHARD[one]), one, [f"{one}/hook"])
        assert (book.difference, book.accepted) == (0, len(producer.sent[one]))


async def test_what_was_promised_under_a_version_is_sent_as_it_was_under_another(
    rig, producer, target, deployed, redis
):
    target.refuse = lambda request, body: web.Response(status=503)
    cut = replace(rig.webhook(), fields=Fields(exclude=("properties",)))
    deployed.deploy("a", cut, version=7)
    async with rig.forwarding(rig.config(), source=deployed):
        await producer.append("a", 3)
        await rig.eventually(lambda: target.bodies, "the first try")
        deployed.deploy("a", rig.webhook(), version=8)
        (sealed,) = [value for field, value in (await redis.hgetall(shard_keys(SHARD["a"]).seals("a/hook"))).items()
                     if field not in (b"n", b"v")]  # fmt: skip
        assert sealed_version(sealed) == 7
        await asyncio.sleep(1.2)
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken == producer.sent, "the second version")
        await producer.append("a", 1)
        await rig.eventually(lambda: target.taken == producer.sent, "what is promised under it")
    target.assert_resends_are_identical()
    first, *_, last = [json.loads(bodies[-1])["data"]["events"][0] for bodies in target.bodies.values()]
    assert ("properties" in first, "properties" in last) == (False, True)


def sealed_version(blob: bytes) -> int:
    return log_pb2.SealedBatch.FromString(blob).config_version


async def test_an_operator_pauses_tests_replays_and_retries_it_by_its_name(rig, producer, target, deployed, redis):
    rule = SinkSpec(name="a/hook", when_full="expire", projects=frozenset({"a"}), use="webhook")
    sinks, letters = Sinks(producer.pipeline, [rule]), DeadLetters(producer.pipeline)
    await sinks.pause("a/hook")
    deployed.deploy("a", rig.webhook(max_events=1))
    target.refuse = lambda _, body: web.Response(status=422) if b'"a/1"' in body else None
    async with rig.forwarding(rig.config(rig.jsonl()), source=deployed):
        await producer.append("a", 3)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the operator's sink")
        assert target.bodies == {}
        (view,) = await sinks.view([project("a")])
        assert (view.state, view.books[0][1].pending) == ("PAUSED", 3)
        # Another version is paused from its first moment on.
        deployed.deploy("a", rig.webhook(max_events=1), version=2)
        await asyncio.sleep(1.5)
        assert target.bodies == {}
        await sinks.resume("a/hook")
        await rig.eventually(lambda: target.taken["a"] == ["a/0", "a/2"], "it to go on")

        target.refuse = lambda request, body: None
        assert (await SinkTests(producer.pipeline, lambda: "test-1").run("a/hook"))[1] == ""
        assert target.taken["headgate-test"] == ["headgate_test"]
        assert await redis.hgetall("headgate:sink-tests") == {}

        async def a_letter() -> list[Any]:
            return [one async for one in letters.of(project("a"), "a/hook")]

        await rig.eventually(a_letter, "the dead letter")
        assert await letters.retry(project("a"), "a/hook", None) == (1, 0)
        await rig.eventually(lambda: target.taken["a"][-1] == "a/1", "the retry")

        replays = Replays(producer.pipeline, lambda: "r1")
        await replays.start("a/hook", await replays.ranges([project("a")], 0, 1 << 52), 0)
        await rig.eventually(lambda: target.taken["a"][3:] == producer.sent["a"], "the replay")
        (view,) = await sinks.view([project("a")])
        books = view.books[0][1]
        assert (books.delivered, books.dead, books.pending, books.difference) == (3, 0, 0, 0)


async def test_a_replay_goes_on_into_another_version(rig, producer, target, deployed):
    deployed.deploy("a", rig.webhook(max_events=1))
    async with rig.forwarding(rig.config(rig.jsonl()), source=deployed):
        await producer.append("a", 6)
        await rig.eventually(lambda: target.taken == producer.sent, "all of it")
        target.refuse = lambda request, body: web.Response(status=503)
        replays = Replays(producer.pipeline, lambda: "r1")
        await replays.start("a/hook", await replays.ranges([project("a")], 0, 1 << 52), 0)
        before = len(target.bodies)
        await rig.eventually(lambda: len(target.bodies) > before, "the replay to begin")
        deployed.deploy("a", rig.webhook(max_events=2), version=2)
        await asyncio.sleep(1.2)
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken["a"][6:] == producer.sent["a"], "the replay's end")
    target.assert_resends_are_identical()


async def test_what_looks_like_a_reference_leads_nowhere(rig, producer, target, deployed, tmp_path):
    (tmp_path / "vault").write_text("the operator's")
    seen = []
    target.refuse = lambda request, body: seen.append((request.headers["X-One"], request.headers["X-Two"]))
    headers = {"X-One": "env:SECRET", "X-Two": f"file:{tmp_path}/vault"}
    deployed.deploy("a", rig.webhook(headers=headers))
    async with rig.forwarding(rig.config(environment={"SECRET": "the operator's"}), source=deployed):
        await producer.append("a", 1)
        await rig.eventually(lambda: seen, "the write")
    assert seen[0] == ("env:SECRET", f"file:{tmp_path}/vault")


async def test_one_that_cannot_run_says_why_and_keeps_its_events(rig, producer, target, deployed, redis):
    deployed.deploy("a", rig.webhook(), fault="a secret of it cannot be read")
    async with rig.forwarding(rig.config(rig.jsonl(), keep_seconds=0), source=deployed):
        await producer.append("a", 3)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the operator's sink")
        sinks = Sinks(
            producer.pipeline, [SinkSpec(name="a/hook", when_full="expire", projects=frozenset({"a"}), use="webhook")]
        )

        async def broken() -> bool:
            (view,) = await sinks.view([project("a")])
            return (view.state, view.last_error) == ("BROKEN", "a secret of it cannot be read")

        await rig.eventually(broken, "the fault to be shown")
        await asyncio.sleep(0.5)
        deployed.deploy("a", rig.webhook())
        await rig.eventually(lambda: target.taken == producer.sent, "delivery once it can run")


async def test_nothing_leaves_the_log_before_it_is_known_what_is_deployed(rig, producer, target, deployed, redis):
    deployed.there = False
    deployed.deploy("a", rig.webhook())
    async with rig.forwarding(rig.config(rig.jsonl(), keep_seconds=0), source=deployed):
        await producer.append("a", 3)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the operator's sink")
        await asyncio.sleep(0.6)
        entries = await redis.xrange(shard_keys(SHARD["a"]).project("a").log)
        assert len(entries) == 1
        deployed.there = True
        await rig.eventually(lambda: target.taken == producer.sent, "delivery once it is known")
        # Away again, what is known goes on.
        deployed.there = False
        await producer.append("a", 3)
        await rig.eventually(lambda: target.taken == producer.sent, "delivery without the control DB")


async def test_all_projects_sinks_share_one_row_of_metrics(rig, producer, target, deployed):
    registry = CollectorRegistry()
    deployed.deploy("a", rig.webhook())
    deployed.deploy("b", rig.webhook())
    async with rig.forwarding(rig.config(), source=deployed, registry=registry):
        await producer.append("a", 3)
        await producer.append("b", 4)

        def counted() -> bool:
            return registry.get_sample_value("headgate_sink_delivered_events_total", {"sink": "(deployed)"}) == 7

        await rig.eventually(counted, "the count")
        samples = [sample for family in registry.collect() for sample in family.samples]
    # Those of Redis are of no sink.
    of_redis = ("headgate_dead_letter_bytes", "headgate_log_kept_ratio")
    labels = {sample.labels["sink"] for sample in samples if sample.name not in of_redis}
    assert labels == {"(deployed)"}
