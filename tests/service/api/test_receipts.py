"""Receipts: what they say of each sink as its cursor moves, and to whom."""

import grpc
import pytest
from headgate.v1 import event_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest
from headgate.v1.receipt_service_pb2 import GetReceiptRequest
from headgate_service.model.receipt import Receipt, ReceiptInvalid, ReceiptMaker, runs
from headgate_service.redis.keys import ProjectKeys, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.receipt_lookup import ReceiptLookup
from hypothesis import given
from hypothesis import strategies as st


async def project_keys(redis, project_id: str) -> ProjectKeys:
    (key,) = await redis.keys(f"*:{project_id}:log")
    return shard_keys(int(key[2:4])).project(project_id)


async def ingest(service, *ids: str):
    request = IngestEventsRequest(events=[event_pb2.Event(name="x", event_id=event_id) for event_id in ids])
    return await service.ingest.IngestEvents(request, metadata=service.bearer())


async def look_up(service, receipt: str, metadata=None):
    return await service.receipts.GetReceipt(GetReceiptRequest(receipt=receipt), metadata=metadata)


def rows(response) -> list[tuple[str, int, int, int, int]]:
    return [(row.sink, row.pending, row.delivered, row.filtered, row.dead) for row in response.sinks]


async def test_a_receipt_follows_each_sinks_cursor(service, redis):
    await ingest(service, "1", "2")
    receipt = (await ingest(service, "3", "4", "5")).receipt
    keys = await project_keys(redis, service.project_id)
    found = await look_up(service, receipt, service.bearer())
    assert (found.received, found.accepted, found.duplicate, found.refused, found.durable) == (3, 3, 0, 0, True)
    assert rows(found) == [("jsonl", 3, 0, 0, 0), ("webhook", 3, 0, 0, 0)]
    await redis.hset(keys.cursors, "c:jsonl", "1-0 3 100")
    await redis.hset(keys.cursors, "c:webhook", "1-1 5 200")
    await redis.zadd(keys.dead_ranges("webhook"), {"1-2": 2, "3-5": 5})
    assert rows(await look_up(service, receipt, service.bearer())) == [("jsonl", 2, 1, 0, 0), ("webhook", 0, 1, 0, 2)]


async def test_what_is_from_before_a_sinks_start_is_not_tracked(service, redis):
    receipt = (await ingest(service, "1", "2", "3")).receipt
    keys = await project_keys(redis, service.project_id)
    # One began after the second event; the other has settled nothing, and finds only what follows the first.
    await redis.hset(keys.cursors, mapping={"c:jsonl": "1-0 3 100", "start:jsonl": 2})
    await redis.hset(keys.use, "trimmed_seq", 1)
    found = await look_up(service, receipt, service.bearer())
    assert rows(found) == [("jsonl", 0, 1, 0, 0), ("webhook", 2, 0, 0, 0)]
    assert [row.not_tracked for row in found.sinks] == [2, 1]


@pytest.mark.parametrize(("days", "expected"), [(29, (0, 1, 1, 1, 0)), (31, (0, 0, 1, 1, 1))])
async def test_what_a_route_kept_back_is_not_told_from_what_was_delivered_once_it_is_forgotten(
    redis_url, days, expected
):
    pipeline = RedisPipeline(redis_url)
    day_ms, keys = 86_400_000, shard_keys(5).project("p")
    await pipeline.execute("HSET", keys.cursors, "c:s", "1-0 3 100", "filtered:s", 1, "dead:s", 1)
    await pipeline.execute("ZADD", keys.dead_ranges("s"), 1, "0-1")
    await pipeline.execute("SETRANGE", keys.filtered("s", 0), 0, b"\x04")
    lookup = ReceiptLookup(pipeline, lambda _: ["s"], lambda _: None, lambda: 1000 + days * day_ms)
    (row,) = (await lookup.progress("r", Receipt("p", 5, 1000, 3, 3, 0, 0, ((0, 3),)))).sinks
    assert (row.pending, row.delivered, row.filtered, row.dead, row.not_tracked) == expected
    await pipeline.close()


async def test_duplicates_point_to_the_first_ones(service, redis):
    first = await ingest(service, "1", "2")
    again = await ingest(service, "2", "1")
    found = await look_up(service, again.receipt, service.bearer())
    assert (found.received, found.accepted, found.duplicate) == (2, 0, 2)
    assert found.receive_time == first.receive_time == again.receive_time
    keys = await project_keys(redis, service.project_id)
    await redis.hset(keys.cursors, "c:jsonl", "1-0 1 100")
    assert rows(await look_up(service, again.receipt, service.bearer()))[0] == ("jsonl", 1, 1, 0, 0)


async def test_possession_shows_counts_and_a_key_of_the_project_shows_names(service):
    receipt = (await ingest(service, "1")).receipt
    assert rows(await look_up(service, receipt)) == [("", 1, 0, 0, 0)] * 2
    assert rows(await look_up(service, receipt, service.bearer("public"))) == [("", 1, 0, 0, 0)] * 2
    assert rows(await look_up(service, receipt, [("authorization", "Bearer nonsense")])) == [("", 1, 0, 0, 0)] * 2
    assert [row[0] for row in rows(await look_up(service, receipt, service.bearer()))] == ["jsonl", "webhook"]


@pytest.mark.parametrize("text", ["", "rcpt_", "rcpt_AAAA", "nonsense", "rcpt_" + "A" * 200, "rcpt_é"])
async def test_what_is_no_receipt_is_not_found(service, text):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await look_up(service, text)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_receipt_cannot_be_made_or_changed_without_the_secret():
    receipt = Receipt("prj_a", 7, 1, 2, 2, 0, 0, ((0, 2),))
    text = ReceiptMaker(b"a" * 32).make(receipt)
    assert ReceiptMaker(b"a" * 32).read(text) == receipt
    with pytest.raises(ReceiptInvalid):
        ReceiptMaker(b"b" * 32).read(text)
    for place in range(5, len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(ReceiptInvalid):
            ReceiptMaker(b"a" * 32).read(changed)


@given(st.sets(st.integers(1, 40)))
def test_runs_cover_exactly_the_first_ordinals(ordinals: set[int]):
    found = runs(ordinals)
    covered = [ordinal for before, last in found for ordinal in range(before + 1, last + 1)]
    assert covered == sorted(ordinals)[: len(covered)]
    assert len(found) == 16 or len(covered) == len(ordinals)
