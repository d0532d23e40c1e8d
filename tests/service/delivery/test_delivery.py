"""What a forwarder does while nothing dies: real Redis, real files, a real receiver."""

import asyncio
import dataclasses
import json
from dataclasses import replace

from aiohttp import web
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import shard_keys
from prometheus_client import CollectorRegistry


def cursor_keys(project: str):
    return shard_keys(sum(project.encode()) % 64).project(project)


async def test_every_event_reaches_every_sink_once_and_in_order(rig, producer, target):
    for round_ in range(5):
        for project in ("a", "b", "c"):
            await producer.append(project, 3 + round_)
    async with rig.forwarding(rig.config(rig.jsonl(), rig.webhook())):
        for project in ("a", "b", "d"):
            await producer.append(project, 7)
        await rig.eventually(lambda: rig.lines() == producer.sent, "all events in the files")
        await rig.eventually(lambda: target.taken == producer.sent, "all events at the receiver")


async def test_a_batch_divides_an_entry_that_is_larger_than_it_may_be(rig, producer, target, redis):
    await producer.append("a", 25)
    async with rig.forwarding(rig.config(rig.webhook(max_events=10))):
        await rig.eventually(lambda: target.taken == producer.sent, "all events")
    sizes = [len(json.loads(bodies[0])["data"]["events"]) for bodies in target.bodies.values()]
    assert sizes == [10, 10, 5]
    entry, _ = (await redis.xrange(cursor_keys("a").log))[0]
    use = await redis.hgetall(cursor_keys("a").use)
    cursor = await redis.hgetall(cursor_keys("a").cursors)
    assert cursor == {
        b"c:hook": b"%s 25 %s" % (entry, use[b"bytes"]),
        b"start:hook": b"0",
        b"delivered:hook": b"25",
    }


async def test_a_sink_that_is_down_delays_no_other_and_gets_its_backlog_later(rig, producer, target):
    target.refuse = lambda request, body: web.Response(status=503)
    async with rig.forwarding(rig.config(rig.jsonl(), rig.webhook(max_events=7))):
        for _ in range(20):
            await producer.append("a", 5)
            await producer.append("b", 5)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files, while the receiver is down")
        assert not target.taken
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken == producer.sent, "the backlog")
    target.assert_resends_are_identical()
    assert any(len(bodies) > 1 for bodies in target.bodies.values())


async def test_what_the_receiver_refuses_for_good_becomes_dead_letters(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=422) if b'"a/1"' in body else None
    async with rig.forwarding(rig.config(rig.webhook(max_events=2))):
        await producer.append("a", 5)
        await rig.eventually(lambda: target.taken["a"] == ["a/0", "a/2", "a/3", "a/4"], "the rest")

    keys = cursor_keys("a")
    letters = [fields for _, fields in await redis.xrange(keys.dead)]
    # The batch was halved down to it: the target does not say which event it means.
    assert [letter[b"code"] for letter in letters] == [b"http_422"]
    assert [letter[b"hi"] for letter in letters] == [b"2"]
    assert all(letter[b"attempts"] == b"1" and letter[b"sink"] == b"hook" and letter[b"event"] for letter in letters)
    assert await redis.zrange(keys.dead_ranges("hook"), 0, -1, withscores=True) == [(b"1-2", 2.0)]
    counts = await redis.hmget(keys.cursors, "delivered:hook", "dead:hook")
    assert counts == [b"4", b"1"]


async def test_a_misconfigured_sink_pauses_keeps_everything_and_says_so(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=401)
    status = "headgate:sink:hook:status"

    async def state():
        return await redis.hget(status, "state")

    async def paused():
        return await state() == b"PAUSED" and len(next(iter(target.bodies.values()), ())) > 1

    async def running():
        return await state() == b"RUNNING"

    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 3)
        await rig.eventually(paused, "paused, and tried again")
        assert b"401" in await redis.hget(status, "last_error")
        assert await redis.xlen(cursor_keys("a").dead) == 0
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken == producer.sent, "everything")
        await rig.eventually(running, "running")
    target.assert_resends_are_identical()


async def test_a_poison_event_is_found_among_many(rig, producer, target, redis, balanced):
    target.refuse = lambda request, body: web.Response(status=400) if b'"a/37"' in body else None
    async with rig.forwarding(rig.config(rig.webhook(max_age=0.3))):
        await producer.append("a", 100)
        await producer.append("a", 30)
        await rig.eventually(lambda: len(target.taken["a"]) == 129, "all but the poison")
        await balanced("hook")
    assert target.taken["a"] == [name for name in producer.sent["a"] if name != "a/37"]
    target.assert_resends_are_identical()
    ((_, letter),) = await redis.xrange(cursor_keys("a").dead)
    assert (letter[b"code"], letter[b"hi"]) == (b"http_400", b"38")


async def test_a_sink_that_rejects_most_pauses_by_itself_and_keeps_the_rest(rig, producer, target, redis, balanced):
    target.refuse = lambda request, body: web.Response(status=422)
    status = "headgate:sink:hook:status"

    async def paused():
        return await redis.hget(status, "state") == b"PAUSED"

    async def dead():
        return int(await redis.hget(cursor_keys("a").cursors, "dead:hook") or 0)

    async with rig.forwarding(rig.config(rig.webhook(max_events=10))):
        await producer.append("a", 200)
        await rig.eventually(paused, "a pause")
        said = (await redis.hget(status, "last_error")).decode()
        assert "rejects too much, 100 of the last 100 events" in said
        assert "http_422" in said
        attempts = len(target.bodies)
        await rig.eventually(lambda: max(map(len, target.bodies.values())) > 1, "another attempt")
        assert await dead() == 99
        assert len(target.bodies) == attempts
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken["a"] == producer.sent["a"][99:], "what was kept")

        async def running():
            return await redis.hget(status, "state") == b"RUNNING"

        await rig.eventually(running, "a sink that is well")
        await balanced("hook")
    target.assert_resends_are_identical()


async def test_a_sink_may_be_told_not_to_pause_for_what_it_rejects(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=422)
    sink = dataclasses.replace(rig.webhook(max_events=10), pause_rejecting=False)

    async def all_dead():
        return await redis.hget(cursor_keys("a").cursors, "dead:hook") == b"150"

    async with rig.forwarding(rig.config(sink)):
        await producer.append("a", 150)
        await rig.eventually(all_dead, "dead letters of all")


async def test_a_batch_that_is_too_large_comes_in_halves_with_ids_of_their_own(rig, producer, target, redis):
    def refuse(request, body):
        return web.Response(status=413) if len(json.loads(body)["data"]["events"]) > 3 or b'"a/4"' in body else None

    target.refuse = refuse
    async with rig.forwarding(rig.config(rig.webhook(max_age=0.3))):
        await producer.append("a", 10)
        await producer.append("a", 3)
        await rig.eventually(lambda: sum(map(len, target.taken.values())) == 12, "all but the one too large")
        await producer.append("a", 1)
        await rig.eventually(lambda: "a/13" in target.taken["a"], "what came later")
    assert target.taken["a"] == [name for name in producer.sent["a"] if name != "a/4"]
    target.assert_resends_are_identical()
    ((_, letter),) = await redis.xrange(cursor_keys("a").dead)
    assert (letter[b"code"], letter[b"lo"], letter[b"hi"]) == (b"too_large", b"4", b"5")
    assert (await redis.hmget(cursor_keys("a").cursors, "delivered:hook", "dead:hook")) == [b"13", b"1"]


async def test_a_backlog_over_its_bound_expires_oldest_first_and_frees_the_log(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=503)
    keys = cursor_keys("a")
    config = rig.config(rig.webhook(max_events=4), rig.jsonl(), backlog_bytes=4000, keep_seconds=0)

    async def unsettled():
        use = int(await redis.hget(keys.use, "bytes"))
        return use - int(((await redis.hget(keys.cursors, "c:hook")) or b"0-0 0 0").split()[2])

    async def within():
        return await unsettled() <= 4000

    async with rig.forwarding(config):
        for _ in range(60):
            await producer.append("a", 1, padding=50)
        await producer.append("b", 3)
        await rig.eventually(within, "the backlog within its bound")
        dead = int(await redis.hget(keys.cursors, "dead:hook"))
        assert dead > 0

        async def trimmed():
            return await redis.xlen(keys.log) <= 60 - dead

        await rig.eventually(trimmed, "the log shorter")
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: sum(map(len, target.taken.values())) == 63 - dead, "what was kept")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")
    assert target.taken["a"] == producer.sent["a"][dead:]
    assert target.taken["b"] == producer.sent["b"]
    letters = [fields for _, fields in await redis.xrange(keys.dead)]
    assert {letter[b"code"] for letter in letters} == {b"backlog_expired"}
    assert sum(int(letter[b"events"]) for letter in letters) == dead


async def test_the_log_is_trimmed_to_the_slowest_sink_disabled_ones_included(rig, producer, target, redis):
    keys = cursor_keys("a")
    elsewhere = SinkSpec(name="elsewhere", use="jsonl", enabled=False, projects=frozenset({"b"}))
    async with rig.forwarding(rig.config(rig.jsonl(), rig.webhook("asleep"))):
        await producer.append("a", 1)
        await rig.eventually(lambda: rig.lines() == target.taken == producer.sent, "the first event at both")
    asleep = replace(rig.webhook("asleep"), enabled=False)
    for _ in range(40):
        await producer.append("a", 2)
    async with rig.forwarding(rig.config(rig.jsonl(max_events=3), asleep, elsewhere, keep_seconds=0)):
        await rig.eventually(lambda: rig.lines() == producer.sent, "all events")
        await asyncio.sleep(0.5)
        # What the disabled sink has not had is there for when it is enabled again.
        assert await redis.xlen(keys.log) >= 40
    async with rig.forwarding(rig.config(rig.jsonl(), elsewhere, keep_seconds=0)):

        async def empty():
            return await redis.xlen(keys.log) == 0

        await rig.eventually(empty, "an empty log")
        use = await redis.hgetall(keys.use)
        assert (use[b"trimmed_seq"], use[b"trimmed_bytes"]) == (use[b"seq"], use[b"bytes"])
        await producer.append("a", 4)
        await rig.eventually(lambda: rig.lines() == producer.sent, "what came after")


async def test_settled_entries_are_kept_up_to_their_bytes(rig, producer, redis):
    keys = cursor_keys("a")
    for _ in range(50):
        await producer.append("a", 1, padding=100)
        await asyncio.sleep(0.002)
    total = int(await redis.hget(keys.use, "bytes"))
    async with rig.forwarding(rig.config(rig.jsonl(), keep_bytes=total // 2)):

        async def shorter():
            return await redis.xlen(keys.log) < 50

        await rig.eventually(shorter, "a shorter log")
    left = total - int(await redis.hget(keys.use, "trimmed_bytes"))
    assert total * 0.4 < left <= total // 2


async def test_a_new_sink_starts_at_the_oldest_entry_that_is_kept(rig, producer, target):
    await producer.append("a", 5)
    async with rig.forwarding(rig.config(rig.jsonl())):
        await rig.eventually(lambda: rig.lines() == producer.sent, "the first sink")
    async with rig.forwarding(rig.config(rig.jsonl(), rig.webhook())):
        await rig.eventually(lambda: target.taken == producer.sent, "the second sink")
    assert rig.lines() == producer.sent


async def test_a_sink_gets_only_the_projects_it_is_for(rig, producer, target):
    only_b = SinkSpec(name="hook", use="webhook", settings=rig.webhook().settings, projects=frozenset({"b"}))
    async with rig.forwarding(rig.config(rig.jsonl(), only_b)):
        for project in ("a", "b"):
            await producer.append(project, 2)
        await rig.eventually(lambda: rig.lines() == producer.sent and target.taken["b"], "delivery")
    assert set(target.taken) == {"b"}


async def test_broken_sinks_stop_nothing_else_and_hold_the_log(rig, producer, redis):
    unknown = SinkSpec(name="lost", use="no-such-sink")
    wrong = SinkSpec(name="wrong", use="webhook", settings={"url": "ftp://x", "secret": "s3cret-value"})
    async with rig.forwarding(rig.config(rig.jsonl(), unknown, wrong, keep_seconds=0)):
        await producer.append("a", 20)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the sound sink")

        async def shown():
            return await redis.hgetall("headgate:sink:lost:status"), await redis.hgetall("headgate:sink:wrong:status")

        lost, wrong_status = await rig.eventually(shown)
        assert lost[b"state"] == wrong_status[b"state"] == b"BROKEN"
        assert b"no-such-sink" in lost[b"last_error"]
        assert b"url" in wrong_status[b"last_error"]
        assert b"s3cret-value" not in wrong_status[b"last_error"]
    assert await redis.xlen(cursor_keys("a").log) > 0


async def test_a_full_redis_is_emptied_by_delivery(rig, producer, redis):
    for _ in range(30):
        await producer.append("a", 10, padding=2000)
    used = (await redis.info("memory"))["used_memory"]
    before = (await redis.config_get("maxmemory"))["maxmemory"]
    await redis.config_set("maxmemory", used // 2)
    try:
        async with rig.forwarding(rig.config(rig.jsonl(), keep_seconds=0)):
            await rig.eventually(lambda: rig.lines() == producer.sent, "all events")

            async def empty():
                return await redis.xlen(cursor_keys("a").log) == 0

            await rig.eventually(empty, "an empty log")
    finally:
        await redis.config_set("maxmemory", before)


async def test_what_is_measured(rig, producer, target):
    registry = CollectorRegistry()
    target.refuse = lambda request, body: web.Response(status=503)

    def value(name: str, sink: str = "hook") -> float:
        return registry.get_sample_value(name, {"sink": sink})

    async with rig.forwarding(rig.config(rig.jsonl(), rig.webhook()), registry=registry):
        await producer.append("a", 5)
        for name, wanted in (
            ("headgate_sink_pending_events", lambda found: found == 5),
            ("headgate_sink_state", lambda found: found == 1),
            ("headgate_sink_lag_seconds", lambda found: found > 0),
            ("headgate_sink_retries_total", lambda found: found > 0),
        ):
            await rig.eventually(lambda name=name, wanted=wanted: wanted(value(name)), name)
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: value("headgate_sink_delivered_events_total") == 5, "delivery")
        await rig.eventually(lambda: value("headgate_sink_lag_seconds") == 0, "nothing under way")
        await rig.eventually(lambda: value("headgate_sink_state") == 0, "a sink that is well")
        assert value("headgate_sink_dead_events_total") == 0
        await rig.eventually(lambda: value("headgate_sink_delivered_events_total", "jsonl") == 5, "the files")


async def test_a_batch_whose_entries_are_gone_is_not_sent_as_another(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=503)
    async with rig.forwarding(rig.config(rig.webhook(), drain=0.1)):
        await producer.append("a", 5)
        await rig.eventually(lambda: target.bodies, "a first attempt")
    await redis.xtrim(cursor_keys("a").log, maxlen=0, approximate=False)
    target.refuse = lambda request, body: None
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 2)
        await rig.eventually(lambda: target.taken["a"] == ["a/5", "a/6"], "what came later")
    ((_, letter),) = await redis.xrange(cursor_keys("a").dead)
    assert (letter[b"code"], letter[b"events"]) == (b"log_lost", b"5")
    target.assert_resends_are_identical()
