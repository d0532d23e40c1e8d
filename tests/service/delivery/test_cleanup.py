"""What Redis holds of a deleted project goes when nobody needs it, and of other projects nothing does."""

import json
from dataclasses import replace

import pytest
from aiohttp import web
from headgate_service.delivery.project_sink import ProjectSink, SinkChanges
from headgate_service.directory.project import Project
from headgate_service.model.sink import SinkSpec
from headgate_service.projects.cleanup import Cleanup
from headgate_service.redis.keys import SHARDS
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.replays import Replays
from headgate_service.store.client import StoreUnavailable

# Of one shard: their events share batches.
GONE, NEIGHBOUR = "ab", "ba"
SHARD = sum(GONE.encode()) % SHARDS


def project(name: str) -> Project:
    return Project(name, name, name, "org", SHARD, None, None)


@pytest.fixture
def removal(producer) -> Cleanup:
    rules = [
        SinkSpec(name="hook", when_full="expire"),
        SinkSpec(name="off", when_full="expire", enabled=False),
        SinkSpec(name="other", when_full="expire", projects=frozenset({NEIGHBOUR})),
    ]
    return Cleanup(producer.pipeline, rules, lambda: [project(GONE)])


async def keys(producer, name: str) -> list[bytes]:
    return await producer.pipeline.execute("KEYS", f"*:{name}:*")


async def test_a_project_stays_until_its_sinks_have_all_of_it(rig, producer, target, removal, balanced):
    # The gate is shut: both projects' events are promised in one batch.
    gate = [True]
    target.refuse = lambda request, body: web.Response(status=503) if gate[0] else None
    async with rig.forwarding(rig.config(rig.webhook(max_age=0.5))):
        await producer.append(GONE, 3)
        await producer.append(NEIGHBOUR, 2)
        await rig.eventually(lambda: target.bodies, "a first try")
        assert await removal.look() == []
        gate[0] = False
        await rig.eventually(lambda: target.taken == producer.sent, "delivery")
        await rig.eventually(removal.look, "the removal")
        assert await keys(producer, GONE) == []
        assert await producer.pipeline.execute("SMEMBERS", f"{{s{SHARD:02d}}}:projects") == [NEIGHBOUR.encode()]
        target.assert_resends_are_identical()
        # Its neighbour goes on, and so would a straggler that a service without its database let in.
        await producer.append(NEIGHBOUR, 1)
        await producer.append(GONE, 2)
        await rig.eventually(lambda: target.taken == producer.sent, "what came later")
        await rig.eventually(removal.look, "the removal of the straggler")
        assert await keys(producer, GONE) == []
        del producer.sent[GONE]
        await balanced("hook")


async def test_dead_letters_go_with_it_but_not_while_they_are_sent_again(rig, producer, target, removal):
    def refuse(request: web.Request, body: bytes) -> web.Response | None:
        events = json.loads(body)["data"]["events"]
        return web.Response(status=422) if events[0]["name"] == f"{GONE}/0" else None

    target.refuse = refuse
    letters = DeadLetters(producer.pipeline)
    async with rig.forwarding(rig.config(rig.webhook(max_events=1))):
        await producer.append(GONE, 1)
        await rig.eventually(lambda: _count(letters), "the dead letter")
    # No forwarder runs: what is to be sent again waits.
    assert await letters.retry(project(GONE), "hook", None) == (1, 0)
    assert await removal.look() == []
    async with rig.forwarding(rig.config(rig.webhook(max_events=1))):
        await rig.eventually(removal.look, "the removal")
    assert await keys(producer, GONE) == []


async def test_what_is_stored_goes_first_and_again_where_that_failed(rig, producer, target):
    asked: list[str] = []

    class OnceDown:
        """A store that does not answer at first."""

        async def forget(self, project_id: str) -> None:
            asked.append(project_id)
            assert await keys(producer, GONE) != []
            if len(asked) == 1:
                raise StoreUnavailable("no answer from the store")

    removal = Cleanup(
        producer.pipeline, [SinkSpec(name="hook", when_full="expire")], lambda: [project(GONE)], OnceDown()
    )
    await producer.append(GONE, 2)
    # Not before the sinks, of which the store's is one, have all of it.
    assert (await removal.look(), asked) == ([], [])
    async with rig.forwarding(rig.config(rig.webhook())):
        await rig.eventually(lambda: target.taken == producer.sent, "delivery")
    assert (await removal.look(), asked) == ([], [GONE])
    assert await removal.look() == [project(GONE)]
    assert (asked, await keys(producer, GONE)) == ([GONE, GONE], [])


async def _count(letters: DeadLetters, sink: str = "hook") -> int:
    return len([one async for one in letters.of(project(GONE), sink)])


async def test_what_a_replay_reads_stays(rig, producer, target, removal):
    replays = Replays(producer.pipeline, lambda: "r1")
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append(GONE, 2)
        await rig.eventually(lambda: target.taken == producer.sent, "delivery")
    parts = await replays.ranges([project(GONE)], 0, 1 << 52)
    await replays.start("hook", parts, 0)
    assert await removal.look() == []
    await replays.cancel("r1")
    assert await removal.look() == [project(GONE)]


async def test_a_sink_that_never_settled_anything_holds_it(producer, removal):
    await producer.append(GONE, 1)
    assert await removal.look() == []
    assert len(await keys(producer, GONE)) > 1


async def test_a_project_without_entries_is_no_work(producer, removal):
    assert await removal.look() == []


async def test_its_own_sinks_end_with_it_whatever_they_still_had_to_send(rig, producer, target):
    own = f"{GONE}/hook"

    class Deployed:
        async def load(self, since: int) -> SinkChanges:
            config = replace(rig.webhook(own, max_events=1), projects=frozenset({GONE}))
            return SinkChanges(since, 1, {GONE: [ProjectSink(config, GONE, SHARD, 1)]} if since != 1 else {})

    target.refuse = lambda _, body: web.Response(status=422) if f'"{GONE}/0"'.encode() in body else None
    letters = DeadLetters(producer.pipeline)
    async with rig.forwarding(rig.config(), source=Deployed()):
        await producer.append(GONE, 2)
        await rig.eventually(lambda: target.taken[GONE] == [f"{GONE}/1"], "what it takes")
        await rig.eventually(lambda: _count(letters, own), "the dead letter")
    # No forwarder runs: what is to be sent again waits.
    assert await letters.retry(project(GONE), own, None) == (1, 0)
    assert await Cleanup(producer.pipeline, [], lambda: [project(GONE)]).look() == [project(GONE)]
    assert await keys(producer, GONE) == []
    assert await producer.pipeline.execute("KEYS", f"*:retry:{own}") == []
