"""Events go on being taken where Redis's memory is full of what every sink has."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from headgate.v1 import event_pb2
from headgate_service.delivery.memory_pressure import FIRST, LAST, kept_at
from headgate_service.errors import LogUnavailable
from headgate_service.log.append import Append, LogProject
from headgate_service.log.entry import encode
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.memory import memory_of
from structlog.testing import capture_logs

from tests.service.delivery.conftest import shard_of

MIB = 1024 * 1024


@pytest.fixture
async def small(producer, redis) -> AsyncIterator[int]:
    """The memory that Redis may use beyond what it does."""
    used = (await memory_of(producer.pipeline)).used
    before = (await redis.config_get("maxmemory"))["maxmemory"]
    await redis.config_set("maxmemory", used + 24 * MIB)
    yield used + 24 * MIB
    await redis.config_set("maxmemory", before)


@pytest.mark.parametrize(("ratio", "kept"), [(0.0, 1.0), (FIRST, 1.0), (0.875, 0.5), (LAST, 0.0), (1.2, 0.0)])
def test_less_is_kept_the_less_there_is(ratio, kept):
    assert kept_at(ratio) == pytest.approx(kept)


async def append(producer, project: str, size: int) -> int:
    """Returns how often Redis refused it."""
    name = f"{project}/{len(producer.sent[project])}"
    properties = b'{"padding":"' + os.urandom(size // 2).hex().encode() + b'"}'
    chunks = encode(event_pb2.DIALECT_GRPC, [event_pb2.Event(name=name, properties_json=properties)])
    refused = 0
    while True:
        try:
            where = LogProject(project, shard_of(project), None)
            verdict = await producer.appender.append(where, Append(chunks, {}))
        except LogUnavailable:
            refused += 1
            await asyncio.sleep(0.05)
        else:
            assert verdict.status == "ok"
            producer.sent[project].append(name)
            return refused


async def test_settled_events_go_first(rig, producer, small, redis, balanced):
    with capture_logs() as logs:
        async with rig.forwarding(rig.config(rig.jsonl(), trim=60.0)), asyncio.timeout(60):
            for number in range(1200):
                await append(producer, f"p{number % 3}", 60_000)
            await rig.eventually(lambda: rig.lines() == producer.sent, "delivery of all")
            assert (await memory_of(producer.pipeline)).used < small
            await balanced("jsonl")
    (said, *_) = [one for one in logs if "gets short" in one["event"]]
    assert said["log_level"] == "warning"
    # For replay.
    lengths = [await redis.xlen(shard_keys(shard_of(one)).project(one).log) for one in producer.sent]
    assert sum(lengths) > 20


async def test_what_a_sink_lacks_stays(rig, producer, small, target, redis, balanced):
    target.refuse = lambda request, body: web.Response(status=503)
    async with rig.forwarding(rig.config(rig.webhook(), trim=60.0)):
        for _ in range(3):
            await producer.append("a", 10)
        refused = 0
        while not refused:
            try:
                async with asyncio.timeout(1):
                    refused = await append(producer, "a", 60_000)
            except TimeoutError:
                break
        target.refuse = lambda request, body: None
        await rig.eventually(lambda: target.taken["a"][:30] == producer.sent["a"][:30], "what waited")
        await rig.eventually(lambda: len(target.taken["a"]) >= len(producer.sent["a"]), "the rest")
