"""The forwarder's own look at the books, and at backlogs that grow."""

import structlog
from aiohttp import web
from headgate.v1 import log_pb2
from headgate_service.delivery.books import Ledger
from headgate_service.redis.keys import SHARDS, shard_keys
from prometheus_client import CollectorRegistry

A = shard_keys(ord("a") % SHARDS).project("a")


async def test_a_difference_is_measured_and_logged(rig, producer, target, redis):
    registry = CollectorRegistry()

    def difference() -> float | None:
        return registry.get_sample_value("headgate_sink_ledger_difference_events", {"sink": "hook"})

    with structlog.testing.capture_logs() as logs:
        async with rig.forwarding(rig.config(rig.webhook(), scan=0.1), registry=registry):
            await producer.append("a", 5)
            await rig.eventually(lambda: target.taken == producer.sent, "delivery")
            await rig.eventually(lambda: difference() == 0, "the first audit")
            await redis.hincrby(A.cursors, "delivered:hook", -2)
            await rig.eventually(lambda: difference() == 2, "the difference")
    (said, *_) = [log for log in logs if log["event"] == "the books of a sink do not balance"]
    assert (said["sink"], said["project"], said["difference"], said["log_level"]) == ("hook", "a", 2, "error")


async def test_an_entry_that_is_gone_from_the_log_shows_as_a_difference(producer, redis, balanced, rig):
    for _ in range(3):
        await producer.append("a", 2)
    await balanced("hook")
    _, (middle, _), _ = await redis.xrange(A.log)
    await redis.xdel(A.log, middle)
    (books,) = await books_of_a(producer)
    assert (books.accepted, books.pending, books.difference) == (6, 4, 2)


async def test_what_was_settled_of_a_batch_before_the_rest_of_it_is_not_pending(producer, redis):
    await producer.append("a", 5)
    await redis.hset(A.cursors, mapping={"c:hook": "0-0 1 0", "start:hook": 0, "delivered:hook": 3})
    one = log_pb2.SealedRange(project_id="a", after_seq=1, last_seq=5, selection=b"\x05", counted=2)
    seals = shard_keys(ord("a") % SHARDS).seals("hook")
    await redis.hset(seals, mapping={"n": 7, "v": 3, "7": log_pb2.SealedBatch(ranges=[one]).SerializeToString()})
    (books,) = await books_of_a(producer)
    assert (books.pending, books.difference) == (2, 0)


async def test_a_growing_backlog_is_told_at_half_and_at_four_fifths_of_its_bound_once_each(rig, producer, target):
    registry = CollectorRegistry()
    target.refuse = lambda request, body: web.Response(status=503)
    with structlog.testing.capture_logs() as logs:
        config = rig.config(rig.webhook(), scan=0.05, backlog_bytes=10_000)

        def backlog() -> float:
            return registry.get_sample_value("headgate_sink_backlog_ratio", {"sink": "hook"}) or 0.0

        async with rig.forwarding(config, registry=registry):
            while backlog() < 0.8:
                before = backlog()
                await producer.append("a", 1, padding=900)
                await rig.eventually(lambda least=before: backlog() > least, "the next audit")
    told = [log["passed"] for log in logs if log["event"] == "a backlog comes near its bound"]
    assert told == ["50%", "80%"]


async def books_of_a(producer):
    return await Ledger(producer.pipeline).books(shard_keys(ord("a") % SHARDS), "a", ["hook"])
