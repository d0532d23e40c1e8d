"""Logs that are not what a sink left them as: entries that went without it, and a Redis that went back in time."""

import json
from dataclasses import replace

from aiohttp import web
from headgate_service.delivery.books import Ledger
from headgate_service.redis.keys import shard_keys


def keys_of(project: str):
    return shard_keys(sum(project.encode()) % 64).project(project)


async def test_a_sink_that_was_away_goes_on_with_what_is_left_and_its_books_balance(rig, producer, target, redis):
    both = rig.config(rig.jsonl(), rig.webhook(), keep_seconds=0)
    keys = keys_of("a")
    await producer.append("a", 3)
    async with rig.forwarding(both):
        await rig.eventually(lambda: target.taken == producer.sent, "both to work")
    async with rig.forwarding(replace(both, sinks=(rig.jsonl(),))):
        await producer.append("a", 10)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")

        async def trimmed() -> bool:
            return await redis.hget(keys.use, "trimmed_seq") == b"13"

        await rig.eventually(trimmed, "the log to be trimmed without the webhook")
    async with rig.forwarding(both):
        for _ in range(4):
            await producer.append("a", 2)
        expected = producer.sent["a"][:3] + producer.sent["a"][13:]
        await rig.eventually(lambda: target.taken["a"][-1:] == expected[-1:], "what is left")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")
    assert target.taken["a"] == expected
    cursors = await redis.hgetall(keys.cursors)
    assert cursors[b"c:hook"].split()[1] == cursors[b"c:jsonl"].split()[1] == b"21"
    assert (cursors[b"delivered:hook"], cursors[b"dead:hook"]) == (b"11", b"10")
    assert await redis.zrange(keys.dead_ranges("hook"), 0, -1) == [b"3-13"]
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"code"], letter[b"lo"], letter[b"hi"], letter[b"events"]) == (b"log_lost", b"3", b"13", b"10")


async def test_a_log_put_back_to_an_earlier_time_reuses_no_name_of_a_batch(rig, producer, target, redis):
    sinks = (rig.jsonl(), rig.webhook(max_events=2))
    dump = {}
    async with rig.forwarding(rig.config(*sinks, owner="one")):
        await producer.append("a", 4)
        await rig.eventually(lambda: target.taken == rig.lines() == producer.sent, "both to work")
    for key in await redis.keys("*"):
        dump[key] = await redis.dump(key)
    async with rig.forwarding(rig.config(*sinks, owner="one")):
        for _ in range(4):
            await producer.append("a", 2)
        await rig.eventually(lambda: target.taken == rig.lines() == producer.sent, "both to work")
    await redis.flushall()
    for key, value in dump.items():
        await redis.restore(key, 0, value)
    async with rig.forwarding(rig.config(*sinks, owner="one")):
        for _ in range(6):
            await producer.append("a", 2)
        await rig.eventually(lambda: target.taken == rig.lines() == producer.sent, "what came after it")
    target.assert_resends_are_identical()
    assert len({json.loads(bodies[0])["batchId"] for bodies in target.bodies.values()}) == len(target.bodies)


async def test_a_redis_that_was_emptied_is_delivered_from_again_and_shows_its_sinks(
    rig, producer, epochs, target, redis, monkeypatch
):
    async with rig.forwarding(rig.config(rig.webhook())):
        await producer.append("a", 4)
        await rig.eventually(lambda: target.taken == producer.sent, "the webhook to work")
        before = set(target.ids)
        await redis.flushall()
        # What a service does, with nothing to put back.
        monkeypatch.setattr(type(epochs), "name", lambda self, shard: "another")
        epochs.put(rig.redis_url)

        async def shown() -> bool:
            return await redis.hget("headgate:sink:hook:status", "state") == b"RUNNING"

        await rig.eventually(shown, "the sink to be shown again")
        await producer.append("a", 2)
        await rig.eventually(lambda: target.taken == producer.sent, "what came after the loss")
    assert {batch_id.partition("-")[0] for batch_id in target.ids - before} == {"another"}


async def test_a_target_that_takes_nothing_makes_one_range_of_dead_events(rig, producer, target, redis):
    target.refuse = lambda request, body: web.Response(status=400 if b'"a/7"' not in body else 200)
    keys = keys_of("a")
    async with rig.forwarding(rig.config(rig.webhook(max_events=2))):
        for _ in range(5):
            await producer.append("a", 2)

        async def settled() -> bool:
            return (await redis.hget(keys.cursors, "c:hook") or b"").split()[1:2] == [b"10"]

        await rig.eventually(settled, "all to be settled")
    assert await redis.zrange(keys.dead_ranges("hook"), 0, -1, withscores=True) == [(b"0-6", 6.0), (b"8-10", 10.0)]
    assert await redis.hget(keys.cursors, "dead:hook") == b"8"


async def test_what_is_left_of_an_entry_is_delivered_after_a_promise_whose_beginning_is_gone(
    rig, producer, target, redis
):
    keys = keys_of("a")
    target.refuse = lambda request, body: web.Response(status=503)
    async with rig.forwarding(rig.config(rig.webhook(max_events=4))):
        await producer.append("a", 3)
        await producer.append("a", 3)
        await rig.eventually(lambda: target.bodies, "a batch to be promised")
    ((first, _), _) = await redis.xrange(keys.log)
    await redis.xdel(keys.log, first)
    target.refuse = lambda request, body: None
    async with rig.forwarding(rig.config(rig.webhook(max_events=4))):
        await rig.eventually(lambda: target.taken["a"] == ["a/4", "a/5"], "the rest of the second entry")
    cursors = await redis.hgetall(keys.cursors)
    assert (cursors[b"c:hook"].split()[1], cursors[b"dead:hook"], cursors[b"delivered:hook"]) == (b"6", b"4", b"2")


async def test_a_disabled_sink_keeps_its_place_and_what_follows_it_however_old_but_not_however_much(
    rig, producer, target, redis, balanced
):
    both = rig.config(rig.jsonl(), rig.webhook(), keep_seconds=0)
    never_ran = replace(rig.webhook("other"), enabled=False)
    disabled = replace(both, sinks=(rig.jsonl(), replace(rig.webhook(), enabled=False), never_ran))
    keys = keys_of("a")

    async def explained() -> tuple[int, ...]:
        (one,) = await Ledger(producer.pipeline).books(shard_keys(sum(b"a") % 64), "a", ["hook"])
        return one.accepted, one.delivered, one.dead, one.pending, one.difference

    async def trimmed() -> int:
        return int(await redis.hget(keys.use, "trimmed_seq") or 0)

    await producer.append("a", 3)
    async with rig.forwarding(both):
        await rig.eventually(lambda: target.taken == producer.sent, "both to work")
    async with rig.forwarding(disabled):
        for _ in range(3):
            await producer.append("a", 10)
            await producer.append("b", 1)
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")

        # The project of which it has seen nothing shows that there was a look at all projects.
        async def others_trimmed() -> bool:
            return await redis.hget(keys_of("b").use, "trimmed_seq") == b"3"

        await rig.eventually(others_trimmed, "the logs to be trimmed")
        assert await trimmed() <= 3
        assert await explained() == (33, 3, 0, 30, 0)
    async with rig.forwarding(replace(disabled, keep_bytes=1)):

        async def all_trimmed() -> bool:
            return await trimmed() == 33

        await rig.eventually(all_trimmed, "the log to be trimmed for its size")
        assert await explained() == (33, 3, 30, 0, 0)
    await producer.append("a", 1)
    async with rig.forwarding(both):
        await rig.eventually(lambda: target.taken["a"][-1:] == producer.sent["a"][-1:], "the sink to be back")
    assert await explained() == (34, 4, 30, 0, 0)
    await balanced("jsonl")
    assert target.taken["a"] == producer.sent["a"][:3] + producer.sent["a"][33:]
