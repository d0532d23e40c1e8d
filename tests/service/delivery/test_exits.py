"""Forwarders that die, freeze or lose Redis: nothing is lost, nothing comes twice, every resend is the same."""

import asyncio
import contextlib
import dataclasses
import json
import random
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from aiohttp import web
from headgate_cli.run.embedded_redis import EmbeddedRedis, find_server
from headgate_service.errors import RedisUnavailable
from headgate_service.model.route import Route
from headgate_service.redis.keys import shard_keys

EXIT = 77
STEPS = ("lease", "read", "seal", "write", "settle", "trim")


def delivered(rig, producer, target):
    """Everything, once, in order, at both sinks."""
    return lambda: target.taken == producer.sent and rig.lines() == producer.sent


async def until_it_exits(rig, producer, sinks, **plan) -> None:
    """Appends until the forwarder has died of its plan."""
    child = await rig.child(*sinks, owner="one", keep_seconds=0, **plan)
    exit_code = asyncio.create_task(child.wait())
    async with asyncio.timeout(30):
        while not exit_code.done():
            await producer.append(random.choice("abc"), random.randint(1, 9))
            await asyncio.wait([exit_code], timeout=0.02)
    assert exit_code.result() == EXIT


@pytest.mark.parametrize("step", STEPS)
async def test_an_exit_after_a_step_loses_and_repeats_nothing(rig, producer, target, balanced, step):
    sinks = (rig.jsonl(), rig.webhook(max_events=5))
    for count in (1, 4):
        await until_it_exits(rig, producer, sinks, exit_after=[step, count])
        await balanced("jsonl", "hook")
    async with rig.forwarding(rig.config(*sinks, owner="one", keep_seconds=0)):
        await rig.eventually(delivered(rig, producer, target), "delivery after the exits")
    await balanced("jsonl", "hook")
    target.assert_resends_are_identical()


@pytest.mark.parametrize("step", ["seal", "write", "settle"])
async def test_an_exit_loses_nothing_of_what_is_routed_and_halved(rig, producer, target, balanced, redis, step):
    def poison(name: str) -> bool:
        return name.endswith("4")

    def refuse(request, body):
        names = [event["name"] for event in json.loads(body)["data"]["events"]]
        return web.Response(status=422) if any(map(poison, names)) else None

    target.refuse = refuse
    route = '!event.name.endsWith("7")'
    sinks = (dataclasses.replace(rig.webhook(max_events=8), route=Route(route)),)
    for count in (2, 5, 9):
        await until_it_exits(rig, producer, sinks, exit_after=[step, count])
        await balanced("hook")
    wanted = {one: [n for n in names if n[-1] not in "47"] for one, names in producer.sent.items()}
    async with rig.forwarding(rig.config(*sinks, owner="one", keep_seconds=0)):
        await rig.eventually(lambda: target.taken == {k: v for k, v in wanted.items() if v}, "all but the poison")

        async def settled():
            keys = [shard_keys(sum(one.encode()) % 64).project(one) for one in producer.sent]
            ends = [await redis.hget(key.cursors, "c:hook") for key in keys]
            seqs = [await redis.hget(key.use, "seq") for key in keys]
            return all(end and end.split()[1] == seq for end, seq in zip(ends, seqs, strict=True))

        await rig.eventually(settled, "the cursors at the end")
    await balanced("hook")
    target.assert_resends_are_identical()


async def test_exits_at_random_lose_and_repeat_nothing(rig, producer, target, balanced):
    sinks = (rig.jsonl(rotate_bytes=4000), rig.webhook(max_events=3))
    for _ in range(6):
        await until_it_exits(rig, producer, sinks, exit_after=["any", random.randint(65, 150)])
        await balanced("jsonl", "hook")
    async with rig.forwarding(rig.config(*sinks, owner="one", keep_seconds=0)):
        await rig.eventually(delivered(rig, producer, target), "delivery after the exits")
    await balanced("jsonl", "hook")
    target.assert_resends_are_identical()


async def test_a_killed_forwarder_is_replaced_by_another(rig, producer, target, balanced):
    sinks = (rig.jsonl(), rig.webhook(max_events=5))
    first = await rig.child(*sinks)
    await producer.append("a", 20)
    await rig.eventually(lambda: target.taken["a"], "the first to work")
    async with rig.forwarding(rig.config(*sinks)):
        for _ in range(20):
            await producer.append("a", 5)
            await producer.append("b", 5)
        first.kill()
        await first.wait()
        await producer.append("a", 5)
        await rig.eventually(delivered(rig, producer, target), "delivery by the other")
    target.assert_resends_are_identical()
    await balanced("jsonl", "hook")


async def test_a_forwarder_frozen_past_its_lease_is_fenced_off(rig, producer, target, balanced):
    sinks = (rig.jsonl(), rig.webhook(max_events=5))
    children = [await rig.child(*sinks), await rig.child(*sinks)]
    try:
        for round_ in range(4):
            frozen = children[round_ % 2]
            for _ in range(10):
                for project in "abcd":
                    await producer.append(project, 3)
            frozen.send_signal(signal.SIGSTOP)
            for project in "abcd":
                await producer.append(project, 3)
            # The other takes all shards over and delivers what the frozen one promised, too; but for the files, whose
            # lock the frozen one may hold.
            await rig.eventually(lambda: target.taken == producer.sent, "delivery by the other")
            frozen.send_signal(signal.SIGCONT)
            await rig.eventually(delivered(rig, producer, target), "delivery after the thaw")
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGCONT)
                child.terminate()
    assert [await child.wait() for child in children] == [0, 0]
    assert delivered(rig, producer, target)()
    target.assert_resends_are_identical()
    await balanced("jsonl", "hook")


async def test_sigterm_settles_the_write_under_way_and_gives_up_the_leases(rig, producer, target, redis):
    child = await rig.child(rig.jsonl(), rig.webhook())
    await producer.append("a", 5)
    await rig.eventually(lambda: target.taken["a"], "it to work")
    child.terminate()
    assert await child.wait() == 0
    assert await redis.keys("*:lease") == []
    assert await redis.zcard("headgate:forwarders") == 0


async def test_redis_killed_under_the_forwarder_comes_back_to_no_loss(rig, producer, epochs, target):
    folder = Path(tempfile.mkdtemp(prefix="hg-kill-"))
    embedded, server = EmbeddedRedis(folder, max_memory="256mb"), find_server()
    embedded.prepare(server)

    async def start():
        process = await asyncio.create_subprocess_exec(
            *embedded.command(server), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await rig.eventually(embedded.answers, "Redis to start")
        return process

    process = await start()
    epochs.put(embedded.url)
    own = type(producer)(embedded.url, epochs)
    rig.redis_url = embedded.url
    sinks = (rig.jsonl(), rig.webhook(max_events=5))
    try:
        async with rig.forwarding(rig.config(*sinks, keep_seconds=0)):
            for _ in range(4):
                for _ in range(15):
                    await own.append(random.choice("abc"), 4)
                process.kill()
                await process.wait()
                process = await start()
                # The producer's connection is the old server's, which it finds out by using it.
                with contextlib.suppress(RedisUnavailable):
                    await own.pipeline.execute("PING")
            await own.append("a", 1)
            await rig.eventually(delivered(rig, own, target), "delivery after the kills")
        target.assert_resends_are_identical()
    finally:
        await own.close()
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
