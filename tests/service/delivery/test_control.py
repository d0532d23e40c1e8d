"""What an operator does to delivery: pausing, dead letters, replays, tests of a sink."""

import asyncio
import itertools
import json
from dataclasses import replace

import pytest
from aiohttp import web
from headgate_service.directory.project import Project
from headgate_service.errors import DeadLetterUnknown, TestUnanswered
from headgate_service.model.event_view import Fields
from headgate_service.model.route import Route, narrowed
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import SHARDS
from headgate_service.sink_control.dead_letters import DeadLetters
from headgate_service.sink_control.replays import Replays
from headgate_service.sink_control.sinks import Sinks, SinkTests

EXIT = 77


def project(name: str) -> Project:
    return Project(name, name, name, "org", sum(name.encode()) % SHARDS, None, None)


@pytest.fixture
def sinks(producer) -> Sinks:
    return Sinks(
        producer.pipeline,
        [
            SinkSpec(name="hook", when_full="expire", use="webhook"),
            SinkSpec(name="jsonl", when_full="refuse", use="jsonl"),
        ],
    )


@pytest.fixture
def letters(producer) -> DeadLetters:
    return DeadLetters(producer.pipeline)


@pytest.fixture
def replays(producer) -> Replays:
    numbers = itertools.count()
    return Replays(producer.pipeline, lambda: f"r{next(numbers)}")


def refuse_named(*names: str):
    def refuse(request: web.Request, body: bytes) -> web.Response | None:
        events = json.loads(body)["data"]["events"]
        return web.Response(status=422) if any(event["name"] in names for event in events) else None

    return refuse


async def ids(letters: DeadLetters, name: str = "a") -> list[str]:
    return [letter.id async for letter in letters.of(project(name), "hook")]


@pytest.mark.parametrize("letter", ["99999999999999999999-1", "1-18446744073709551616", "1", "x-y", "\u00b2-1"])
async def test_what_is_no_letters_id_is_the_id_of_none(letters, letter):
    with pytest.raises(DeadLetterUnknown):
        await letters.get(project("a"), letter)


async def test_a_paused_sink_writes_nothing_until_it_is_resumed_over_restarts_too(
    rig, producer, target, sinks, balanced
):
    config = rig.config(rig.webhook(), rig.jsonl())
    async with rig.forwarding(config):
        await producer.append("a", 3)
        await rig.eventually(lambda: target.taken == producer.sent, "it to work")
        await sinks.pause("hook")
        await asyncio.sleep(1.0)
        await producer.append("a", 4)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the other sink")
    async with rig.forwarding(config):
        await producer.append("a", 1)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the other sink")
        assert len(target.taken["a"]) == 3
        (hook, _) = await sinks.view([project("a")])
        assert (hook.state, hook.books[0][1].pending) == ("PAUSED", 5)
        await sinks.resume("hook")
        await rig.eventually(lambda: target.taken == producer.sent, "delivery after the pause")
        await balanced("hook", "jsonl")


async def test_a_retried_dead_letter_is_delivered_under_an_id_of_its_own_and_moves_in_the_books(
    rig, producer, target, letters, balanced, sinks
):
    target.refuse = refuse_named("a/1")
    async with rig.forwarding(rig.config(rig.webhook(max_events=1))):
        await producer.append("a", 3)
        await rig.eventually(lambda: ids(letters), "the dead letter")
        (before,) = await ids(letters)
        assert await letters.retry(project("a"), "hook", None) == (1, 0)
        # Refused again: another letter, which knows of both attempts, takes its place.
        await rig.eventually(lambda: changed(letters, before), "the second refusal")
        (letter,) = [one async for one in letters.of(project("a"), "hook")]
        assert (letter.code, letter.attempts, letter.event.name) == ("http_422", 2, "a/1")
        await balanced("hook")

        target.refuse = lambda request, body: None
        assert await letters.retry(project("a"), "hook", {letter.id, "1-1"}) == (1, 1)
        await rig.eventually(lambda: "a/1" in target.taken["a"], "its delivery")
        await rig.eventually(lambda: nothing(letters), "its end as a dead letter")
    (hook, _) = await sinks.view([project("a")])
    books = hook.books[0][1]
    assert (books.delivered, books.dead, books.pending, books.difference) == (3, 0, 0, 0)
    assert target.taken["a"] == ["a/0", "a/2", "a/1"]


async def changed(letters: DeadLetters, before: str) -> bool:
    now = await ids(letters)
    return bool(now) and now != [before]


async def test_a_retry_is_cut_to_what_the_sink_may_see_and_its_letter_is_whole(rig, producer, target, letters):
    target.refuse = refuse_named("a/0")
    hook = replace(rig.webhook(max_events=1), fields=Fields(exclude=("properties.padding",)))
    async with rig.forwarding(rig.config(hook)):
        await producer.append("a", 1, padding=2)
        await rig.eventually(lambda: ids(letters), "the dead letter")
        (letter,) = [one async for one in letters.of(project("a"), "hook")]
        assert json.loads(letter.event.properties_json) == {"padding": "xx"}
        target.refuse = lambda request, body: None
        await letters.retry(project("a"), "hook", None)
        await rig.eventually(lambda: target.taken == producer.sent, "its delivery")
    sent = [json.loads(body) for bodies in target.bodies.values() for body in bodies]
    assert len(sent) == 2
    assert not any("properties" in event for batch in sent for event in batch["data"]["events"])


async def nothing(letters: DeadLetters) -> bool:
    return not await ids(letters)


@pytest.mark.parametrize("step", ["write", "settle"])
async def test_an_exit_while_a_dead_letter_is_retried_repeats_nothing(rig, producer, target, letters, balanced, step):
    target.refuse = refuse_named("a/0")
    sink = rig.webhook(max_events=1)
    async with rig.forwarding(rig.config(sink, owner="one")):
        await producer.append("a", 2)
        await rig.eventually(lambda: target.taken["a"] == ["a/1"], "delivery of the other")
        await rig.eventually(lambda: ids(letters), "the dead letter")
    target.refuse = lambda request, body: None
    assert await letters.retry(project("a"), "hook", None) == (1, 0)
    child = await rig.child(sink, owner="one", exit_after=[step, 1])
    assert await asyncio.wait_for(child.wait(), 30) == EXIT
    await balanced("hook")
    async with rig.forwarding(rig.config(sink, owner="one")):
        await rig.eventually(lambda: nothing(letters), "its end as a dead letter")
        await balanced("hook")
    assert target.taken["a"] == ["a/1", "a/0"]
    target.assert_resends_are_identical()


async def test_purged_dead_letters_stay_dead_in_the_books(rig, producer, target, letters, balanced, redis):
    target.refuse = lambda request, body: web.Response(status=422)
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 3)

        async def all_dead() -> bool:
            return len(await ids(letters)) == 3

        await rig.eventually(all_dead, "the dead letters")
        first, *_ = await ids(letters)
        assert await letters.purge(project("a"), "hook", {first}) == (1, 0)
        assert await letters.purge(project("a"), "hook", None) == (2, 0)
        assert await ids(letters) == []
        await balanced("hook")


async def test_a_replay_sends_a_range_once_more_with_the_same_ids_and_books_of_its_own(
    rig, producer, target, replays, balanced, sinks
):
    got: dict[str, list[str]] = {}

    def note(request: web.Request, body: bytes) -> None:
        for event in json.loads(body)["data"]["events"]:
            got.setdefault(event["eventId"], []).append(event["name"])

    target.refuse = note
    async with rig.forwarding(rig.config(rig.webhook(), rig.jsonl())):
        for name in "abc":
            await producer.append(name, 5)
        await rig.eventually(lambda: target.taken == producer.sent, "the first delivery")
        parts = await replays.ranges([project("a"), project("b")], 0, 1 << 52)
        assert sum(part.last_seq - part.after_seq for _, part in parts) == 10
        await producer.append("a", 2)
        started = await replays.start("hook", parts, 0)
        assert (started.selected, started.pending) == (10, 10)
        await rig.eventually(lambda: done(replays), "the end of the replay")
        (view,) = await replays.view()
        assert (view.selected, view.delivered, view.dead, view.pending) == (10, 10, 0, 0)
        await rig.eventually(lambda: "a/6" in target.taken["a"], "delivery of what came meanwhile")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the other sink")
        await balanced("hook", "jsonl")
    assert {names[0]: len(names) for names in got.values()} == {
        **{f"{name}/{index}": 2 for name in "ab" for index in range(5)},
        **{f"c/{index}": 1 for index in range(5)},
        "a/5": 1,
        "a/6": 1,
    }
    assert rig.lines() == producer.sent


async def done(replays: Replays) -> bool:
    return all(view.stored.end for view in await replays.view())


async def test_a_time_range_replays_what_was_received_in_it(producer, replays, redis):
    await producer.append("a", 2)
    await asyncio.sleep(0.02)
    seconds, micros = await redis.time()
    middle = seconds * 1000 + micros // 1000
    await asyncio.sleep(0.02)
    await producer.append("a", 3)
    ((_, early),) = await replays.ranges([project("a")], 0, middle)
    ((begin, late),) = await replays.ranges([project("a")], middle, 1 << 52)
    assert (early.after_seq, early.last_seq) == (0, 2)
    assert (begin.seq, late.after_seq, late.last_seq) == (2, 2, 5)
    assert await replays.ranges([project("a")], 0, 1) == []
    assert await replays.ranges([project("none")], 0, 1 << 52) == []


async def test_a_replay_keeps_to_its_rate_and_can_be_cancelled(rig, producer, target, replays, balanced):
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 100)
        await rig.eventually(lambda: target.taken == producer.sent, "the first delivery")
        started = await replays.start("hook", await replays.ranges([project("a")], 0, 1 << 52), 5)
        sent_first = len(target.taken["a"])

        async def begun() -> bool:
            return (await replays.view())[0].delivered > 0

        await rig.eventually(begun, "the first part")
        await replays.cancel(started.stored.id)
        await asyncio.sleep(1.5)
        after = len(target.taken["a"]) - sent_first
        await asyncio.sleep(1.5)
        assert len(target.taken["a"]) - sent_first == after
        assert 5 <= after <= 20
        await balanced("hook")


async def test_a_replay_outlives_a_killed_forwarder_and_holds_what_it_needs_in_the_log(
    rig, producer, target, replays, balanced
):
    sink = rig.webhook(max_events=3)
    async with rig.forwarding(rig.config(sink, owner="one")):
        await producer.append("a", 30)
        await rig.eventually(lambda: target.taken == producer.sent, "the first delivery")
    await replays.start("hook", await replays.ranges([project("a")], 0, 1 << 52), 0)
    for count in (2, 3, 4):
        child = await rig.child(sink, owner="one", keep_seconds=0, exit_after=["write", count])
        assert await asyncio.wait_for(child.wait(), 30) == EXIT
    async with rig.forwarding(rig.config(sink, owner="one", keep_seconds=0)):
        await rig.eventually(lambda: done(replays), "the end of the replay")
        await balanced("hook")
    (view,) = await replays.view()
    assert (view.delivered, view.dead, view.pending) == (30, 0, 0)
    assert target.taken["a"] == producer.sent["a"] * 2
    target.assert_resends_are_identical()


async def test_a_test_event_goes_through_the_sink_and_into_no_books(rig, producer, target, balanced):
    tests = SinkTests(producer.pipeline, lambda: "id-1")
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 1)
        await rig.eventually(lambda: target.taken == producer.sent, "it to work")
        assert await tests.run("hook") == ("id-1", "")
        assert target.taken["headgate-test"] == ["headgate_test"]
        target.refuse = lambda request, body: web.Response(status=401)
        _, fault = await tests.run("hook")
        assert fault.startswith("misconfigured: ")
        await balanced("hook")


async def test_a_test_without_a_forwarder_says_so(producer):
    with pytest.raises(TestUnanswered, match="no forwarder"):
        await SinkTests(producer.pipeline, lambda: "id-1", answer_seconds=0.2).run("hook")


async def test_a_replay_goes_by_the_sinks_route(rig, producer, target, replays):
    sink = replace(rig.webhook(), route=Route('event.name != "a/1"'))
    async with rig.forwarding(rig.config(sink)):
        await producer.append("a", 3)
        await rig.eventually(lambda: target.taken["a"] == ["a/0", "a/2"], "the first delivery")
        await replays.start("hook", await replays.ranges([project("a")], 0, 1 << 52), 0)
        await rig.eventually(lambda: done(replays), "the end of the replay")
    (view,) = await replays.view()
    assert (view.selected, view.delivered, view.filtered, view.pending) == (3, 2, 1, 0)
    assert target.taken["a"] == ["a/0", "a/2"] * 2


async def test_a_replay_has_a_route_of_its_own_beside_its_sinks(rig, producer, target, replays, balanced):
    own, further = 'event.name != "a/2"', 'event.name in ["a/1", "a/2", "a/3"]  // of these'
    async with rig.forwarding(rig.config(replace(rig.webhook(), route=Route(own)))):
        await producer.append("a", 6)
        await rig.eventually(lambda: len(target.taken["a"]) == 5, "the first delivery")
        parts = await replays.ranges([project("a")], 0, 1 << 52)
        assert await replays.picked(parts, narrowed(Route(own), further)) == (2, 6)
        await replays.start("hook", parts, 0, further)
        await rig.eventually(lambda: done(replays), "the end of the replay")
        await balanced("hook")
    (view,) = await replays.view()
    assert (view.delivered, view.filtered, view.dead, view.pending) == (2, 4, 0, 0)
    assert target.taken["a"][5:] == ["a/1", "a/3"]


async def test_a_preview_looks_at_no_more_than_a_person_waits_for(producer, replays, monkeypatch):
    monkeypatch.setattr("headgate_service.sink_control.replays.MAX_LOOKED_AT", 40)
    for name in "ab":
        for _ in range(60):
            await producer.append(name, 1)
    parts = await replays.ranges([project("a"), project("b")], 0, 1 << 52)
    assert await replays.picked(parts, Route("true")) == (50, 50)


async def test_a_replays_dead_letters_are_its_own_and_are_sent_again_in_its_books(
    rig, producer, target, replays, letters, balanced
):
    async def of_the_replay():
        return [letter async for letter in letters.of(project("a"), "hook", "r0")]

    async def delivered() -> bool:
        return (await replays.view())[0].delivered == 4

    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 4)
        await rig.eventually(lambda: target.taken == producer.sent, "the first delivery")
        target.refuse = refuse_named("a/1", "a/3")
        await replays.start("hook", await replays.ranges([project("a")], 0, 1 << 52), 0)
        await rig.eventually(lambda: done(replays), "the end of the replay")
        (view,) = await replays.view()
        assert (view.delivered, view.dead) == (2, 2)
        found = await of_the_replay()
        assert [(letter.sink, letter.replay, letter.event.name) for letter in found] == [
            ("hook", "r0", "a/1"),
            ("hook", "r0", "a/3"),
        ]
        assert await ids(letters) == []
        assert (await letters.get(project("a"), found[0].id)).sink == "hook"
        # Refused once more, it is a letter of the replay again.
        assert await letters.retry(project("a"), "hook", {found[0].id}, "r0") == (1, 0)

        async def tried() -> bool:
            return [letter.attempts for letter in await of_the_replay()] == [1, 2]

        await rig.eventually(tried, "the second attempt")
        target.refuse = lambda request, body: None
        assert await letters.retry(project("a"), "hook", None, "r0") == (2, 0)
        await rig.eventually(delivered, "the rest of the replay")
        assert await of_the_replay() == []
        await balanced("hook")
    (view,) = await replays.view()
    assert (view.delivered, view.dead, view.pending) == (4, 0, 0)
    assert sorted(target.taken["a"]) == sorted(producer.sent["a"] * 2)
