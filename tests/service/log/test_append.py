"""The script's decisions and what they leave in the log, on a real redis-server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import pytest
from headgate.v1 import event_pb2
from headgate_service.errors import CountersLost, LogUnavailable
from headgate_service.log.append import (
    Append,
    Appender,
    EpochNames,
    Idempotency,
    LogProject,
    Rate,
    Verdict,
)
from headgate_service.log.entry import encode
from headgate_service.log.reader import read_entries
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline

PROJECT = LogProject("prj_a", 7, None)
KEYS = PROJECT.keys


def request(
    *names: str,
    ids: Mapping[int, str] | None = None,
    key: str | None = None,
    body: str = "body",
    rate: Rate | None = None,
    dry_run: bool = False,
) -> Append:
    ids = ids or {}
    events = [event_pb2.Event(name=name, event_id=ids.get(index, "")) for index, name in enumerate(names)]
    idempotency = Idempotency(key, body.encode().ljust(32, b".")) if key else None
    return Append(encode(event_pb2.DIALECT_GRPC, events), ids, idempotency, rate, dry_run)


@pytest.fixture
async def pipeline(redis_url: str, epochs: EpochNames) -> AsyncIterator[RedisPipeline]:
    pipeline = RedisPipeline(redis_url)
    yield pipeline
    await pipeline.close()


@pytest.fixture
def appender(pipeline: RedisPipeline, epochs: EpochNames) -> Appender:
    return appender_of(pipeline, epochs)


def appender_of(
    pipeline: RedisPipeline, epochs: EpochNames, refusing: tuple[str, ...] = (), bound: int = 1 << 40
) -> Appender:
    return Appender(pipeline, lambda project_id: refusing, bound, lambda: datetime.now(UTC), epochs)


async def stored(redis) -> list[event_pb2.Event]:
    return [event for entry in await read_entries(redis, KEYS, "0-0", 10_000) for event in entry.events()]


async def names(redis) -> list[str]:
    return [event.name for event in await stored(redis)]


async def test_events_are_stored_in_order_and_read_back_the_same_each_time(appender, redis):
    first = await appender.append(PROJECT, request("a", "b"))
    second = await appender.append(PROJECT, request("c"))
    assert (first.status, first.base, first.fresh) == ("ok", 0, 2)
    assert (second.status, second.base, second.fresh) == ("ok", 2, 1)
    once, again = await stored(redis), await stored(redis)
    assert [event.name for event in once] == ["a", "b", "c"]
    assert [e.SerializeToString(deterministic=True) for e in once] == [
        e.SerializeToString(deterministic=True) for e in again
    ]
    assert len({event.event_id for event in once}) == 3
    assert once[0].receive_time.ToMilliseconds() == first.ms


async def test_a_large_request_becomes_several_entries_of_one_time(appender, redis):
    events = [event_pb2.Event(name=f"{i}", properties_json=bytes(60_000 + i)) for i in range(20)]
    chunks = encode(event_pb2.DIALECT_GRPC, events)
    assert len(chunks) > 1
    verdict = await appender.append(PROJECT, Append(chunks, {}))
    entries = await read_entries(redis, KEYS, "0-0", 100)
    assert len(entries) == len(chunks)
    assert {entry.ms for entry in entries} == {verdict.ms}
    assert await names(redis) == [f"{i}" for i in range(20)]


async def test_the_same_key_and_body_get_the_first_verdict_and_store_once(appender, redis):
    first = await appender.append(PROJECT, request("a", "b", key="k"))
    again = await appender.append(PROJECT, request("a", "b", key="k"))
    assert (again.status, again.ms, again.base, again.fresh) == ("replay", first.ms, first.base, first.fresh)
    assert await names(redis) == ["a", "b"]


async def test_a_key_with_another_body_is_a_mismatch(appender, redis):
    await appender.append(PROJECT, request("a", key="k"))
    assert (await appender.append(PROJECT, request("a", key="k", body="other"))).status == "mismatch"
    assert await names(redis) == ["a"]


async def test_two_requests_of_one_key_at_once_store_once(appender, redis):
    verdicts = await asyncio.gather(*(appender.append(PROJECT, request("a", key="k")) for _ in range(20)))
    assert sorted(v.status for v in verdicts) == ["ok"] + ["replay"] * 19
    assert await names(redis) == ["a"]


async def test_a_repeated_event_id_counts_once_and_names_the_first(appender, redis):
    first = await appender.append(PROJECT, request("x", "a", ids={1: "id-1"}))
    again = await appender.append(PROJECT, request("a", ids={0: "id-1"}))
    assert (again.status, again.fresh) == ("duplicate", 0)
    assert (again.duplicates[0].ms, again.duplicates[0].ordinal) == (first.ms, 2)
    assert await names(redis) == ["x", "a"]


async def test_a_partly_duplicate_request_stores_only_what_is_new(appender, redis):
    await appender.append(PROJECT, request("a", ids={0: "1"}))
    verdict = await appender.append(PROJECT, request("a", "b", "c", "b", ids={0: "1", 1: "2", 3: "2"}))
    assert (verdict.status, verdict.fresh, sorted(verdict.duplicates)) == ("ok", 2, [0, 3])
    assert verdict.duplicates[3].ordinal == 2
    assert verdict.duplicates[3].ms == verdict.ms
    assert await names(redis) == ["a", "b", "c"]
    late = await appender.append(PROJECT, request("c", ids={0: "2"}))
    assert late.duplicates[0].ordinal == 2


async def test_duplicates_are_remembered_with_an_idempotency_key(appender):
    await appender.append(PROJECT, request("a", ids={0: "1"}))
    first = await appender.append(PROJECT, request("a", "b", ids={0: "1"}, key="k"))
    again = await appender.append(PROJECT, request("a", "b", ids={0: "1"}, key="k"))
    assert again.status == "replay"
    assert again.duplicates == first.duplicates


async def test_an_id_is_new_again_after_a_day(appender, redis):
    await appender.append(PROJECT, request("a", ids={0: "1"}))
    for key in KEYS.dedup:
        for field, value in (await redis.hgetall(key)).items():
            day_ago = int.from_bytes(value[:6], "big") - 24 * 3600 * 1000
            await redis.hset(key, field, day_ago.to_bytes(6, "big") + value[6:])
    assert (await appender.append(PROJECT, request("a", ids={0: "1"}))).status == "ok"


async def test_a_key_is_free_again_after_a_day(appender, redis):
    await appender.append(PROJECT, request("a", key="k"))
    for key in KEYS.records:
        for field, value in (await redis.hgetall(key)).items():
            day_ago = int.from_bytes(value[32:38], "big") - 24 * 3600 * 1000
            await redis.hset(key, field, value[:32] + day_ago.to_bytes(6, "big") + value[38:])
    assert (await appender.append(PROJECT, request("b", key="k", body="other"))).status == "ok"


async def test_what_is_remembered_ends_a_day_after_its_generation(appender, redis):
    await appender.append(PROJECT, request("a", ids={0: "1"}, key="k"))
    written = [key for key in (*KEYS.dedup, *KEYS.records, KEYS.remembered) if await redis.exists(key)]
    assert len(written) == 3
    for key in written:
        assert 36 * 3600 - 60 < await redis.ttl(key) <= 36 * 3600
    await age(redis, 12)
    await appender.append(PROJECT, request("b", ids={0: "2"}, key="l"))
    assert len([key for key in (*KEYS.dedup, *KEYS.records) if await redis.exists(key)]) == 4
    assert (await appender.append(PROJECT, request("a", ids={0: "1"}))).status == "duplicate"
    assert (await appender.append(PROJECT, request("a", key="k"))).status == "replay"


async def age(redis, hours: int) -> None:
    """Lets the generations have begun earlier."""
    for slot, value in (await redis.hgetall(KEYS.remembered)).items():
        if slot != b"newest":
            since, size = map(int, value.split())
            await redis.hset(KEYS.remembered, slot, f"{since - hours * 3600 * 1000} {size}")


async def test_the_window_admits_its_limit_exactly_under_32_clients(appender):
    rate = Rate("key", 100, 60_000)

    async def client() -> list[str]:
        return [(await appender.append(PROJECT, request("a", rate=rate))).status for _ in range(10)]

    statuses = [s for part in await asyncio.gather(*(client() for _ in range(32))) for s in part]
    assert statuses.count("ok") == 100
    assert statuses.count("rate") == 220


async def test_a_rate_refusal_says_how_much_is_used_and_left(appender, redis):
    rate = Rate("key", 1, 60_000)
    assert (await appender.append(PROJECT, request("a", rate=rate))).rate_used == 1
    refused = await appender.append(PROJECT, request("b", rate=rate))
    assert (refused.status, refused.rate_used) == ("rate", 1)
    assert 0 < refused.rate_left_ms <= 60_000
    assert await names(redis) == ["a"]


async def test_duplicates_alone_count_no_rate(appender):
    rate = Rate("key", 2, 60_000)
    await appender.append(PROJECT, request("a", ids={0: "1"}, rate=rate))
    for _ in range(5):
        assert (await appender.append(PROJECT, request("a", ids={0: "1"}, rate=rate))).status == "duplicate"
    assert (await appender.append(PROJECT, request("b", rate=rate))).status == "ok"


async def test_the_quota_counts_fresh_events_and_never_overshoots(appender, redis):
    project = LogProject("prj_a", 7, 100)

    async def client() -> list[Verdict]:
        return [await appender.append(project, request("a", "b", "c")) for _ in range(3)]

    verdicts = [v for part in await asyncio.gather(*(client() for _ in range(32))) for v in part]
    assert sum(v.fresh for v in verdicts if v.status == "ok") == 99
    assert {v.status for v in verdicts} == {"ok", "quota"}
    assert len(await names(redis)) == 99
    assert (await appender.append(project, request("a", "b"))).status == "quota"
    assert (await appender.append(project, request("a"))).status == "ok"
    assert (await appender.append(project, request("a"))).month_used == 100


async def test_a_quota_refusal_counts_no_rate(appender):
    project = LogProject("prj_a", 7, 1)
    rate = Rate("key", 2, 60_000)
    for _ in range(5):
        assert (await appender.append(project, request("a", "b", rate=rate))).status == "quota"
    assert (await appender.append(project, request("a", rate=rate))).rate_used == 1


async def test_a_dry_run_counts_rate_alone(appender, redis):
    rate = Rate("key", 2, 60_000)
    verdict = await appender.append(PROJECT, request("a", ids={0: "1"}, rate=rate, key="k", dry_run=True))
    assert (verdict.status, verdict.fresh, verdict.rate_used, verdict.month_used) == ("dry", 1, 1, 0)
    assert await redis.keys("*prj*") == [KEYS.rate("key").encode()]


async def test_a_refusal_writes_nothing(appender, redis):
    project = LogProject("prj_a", 7, 0)
    before = await redis.keys("*")
    assert (await appender.append(project, request("a", ids={0: "1"}, key="k"))).status == "quota"
    assert await redis.keys("*") == before


async def test_a_log_that_a_refusing_sink_left_behind_is_full(pipeline, epochs, redis):
    appender = appender_of(pipeline, epochs, ("jsonl",), bound=1)
    assert (await appender.append(PROJECT, request("a"))).status == "ok"
    assert (await appender.append(PROJECT, request("b"))).status == "full"
    (entry,) = await read_entries(redis, KEYS, "0-0", 10)
    await redis.hset(KEYS.cursors, "c:jsonl", f"{entry.id} {entry.seq} {entry.log_bytes}")
    assert (await appender.append(PROJECT, request("b"))).status == "ok"


async def test_news_is_published_once_until_the_forwarder_takes_it(appender, redis):
    shard = shard_keys(7)
    pubsub = redis.pubsub()
    await pubsub.subscribe("headgate:ready")
    assert (await pubsub.get_message(timeout=1))["type"] == "subscribe"
    await appender.append(PROJECT, request("a"))
    await appender.append(PROJECT, request("b"))
    assert (await pubsub.get_message(timeout=1))["data"] == b"{s07}"
    assert await redis.zrange(shard.ready, 0, -1) == [b"prj_a"]
    assert await redis.smembers(shard.projects) == {b"prj_a"}
    await redis.zpopmin(shard.ready)
    await appender.append(PROJECT, request("c"))
    assert (await pubsub.get_message(timeout=1))["data"] == b"{s07}"
    assert await pubsub.get_message(timeout=0.05) is None
    await pubsub.aclose()


async def test_the_ledger_counts_accepted_and_duplicate(appender, redis):
    await appender.append(PROJECT, request("a", "b", ids={0: "1"}))
    await appender.append(PROJECT, request("a", ids={0: "1"}))
    use = await redis.hgetall(KEYS.use)
    counts = {field.split(b":")[-1]: int(value) for field, value in use.items() if field.startswith(b"h:")}
    assert counts == {b"accepted": 2, b"duplicate": 1}
    assert int(use[b"seq"]) == 2


async def test_out_of_memory_is_not_confirmed_and_leaves_nothing(appender, redis):
    await appender.append(PROJECT, request("a"))
    before = await redis.hgetall(KEYS.use)
    await redis.config_set("maxmemory", "100kb")
    try:
        with pytest.raises(LogUnavailable, match="OOM"):
            await appender.append(PROJECT, request("b", ids={0: "1"}, key="k", rate=Rate("key", 5, 60_000)))
    finally:
        await redis.config_set("maxmemory", "0")
    assert await redis.hgetall(KEYS.use) == before
    assert await redis.exists(*KEYS.records, *KEYS.dedup, KEYS.remembered, KEYS.rate("key")) == 0


async def test_a_redis_that_lost_its_counters_takes_nothing(appender, redis):
    assert (await appender.append(PROJECT, request("a"))).status == "ok"
    await redis.flushall()
    for name in (None, "another"):
        if name:
            await redis.set(shard_keys(PROJECT.shard).epoch, name)
        before = await redis.keys("*")
        for asked in (request("b"), request("b", key="k"), request("b", dry_run=True)):
            with pytest.raises(CountersLost):
                await appender.append(PROJECT, asked)
        assert await redis.keys("*") == before


async def test_a_forgotten_script_is_sent_again(appender, redis):
    await redis.script_flush()
    assert (await appender.append(PROJECT, request("a"))).status == "ok"


async def test_without_redis_nothing_is_confirmed(tmp_path, epochs):
    pipeline = RedisPipeline(f"unix://{tmp_path}/none.sock", deadline=0.5)
    with pytest.raises(LogUnavailable, match="Redis does not answer"):
        await appender_of(pipeline, epochs).append(PROJECT, request("a"))
    await pipeline.close()


async def test_a_thousand_ids_in_a_request_are_each_remembered(appender):
    ids = {i: f"id-{i}" for i in range(1000)}
    first = await appender.append(PROJECT, request(*["a"] * 1000, ids=ids))
    assert (first.status, first.fresh) == ("ok", 1000)
    again = await appender.append(PROJECT, request(*["a"] * 1000, ids=ids))
    assert (again.status, len(again.duplicates)) == ("duplicate", 1000)
    assert [again.duplicates[i].ordinal for i in range(1000)] == list(range(1, 1001))


async def test_an_id_is_known_when_the_clock_was_set_back_before_its_generation_began(appender, redis):
    await appender.append(PROJECT, request("a", ids={0: "1"}))
    await age(redis, -13)
    assert (await appender.append(PROJECT, request("b", ids={0: "2"}))).status == "ok"
    for event_id in ("1", "2"):
        assert (await appender.append(PROJECT, request("a", ids={0: event_id}))).status == "duplicate"


async def test_more_ids_than_one_command_may_name_are_known_across_chunks(appender, redis):
    ids = {i: f"id-{i}" for i in range(2500)}
    assert (await appender.append(PROJECT, request(*["a"] * 1700, ids={i: ids[i] for i in range(1700)}))).fresh == 1700
    events = [event_pb2.Event(name=f"{i}", event_id=ids[i % 2000], user_id="u" * 1000) for i in range(2500)]
    chunks = encode(event_pb2.DIALECT_GRPC, events)
    assert len(chunks) > 2
    verdict = await appender.append(PROJECT, Append(chunks, {i: e.event_id for i, e in enumerate(events)}))
    assert (verdict.status, verdict.fresh) == ("ok", 300)
    assert set(range(2500)) - set(verdict.duplicates) == set(range(1700, 2000))
    assert (await names(redis))[1700:] == [f"{i}" for i in range(1700, 2000)]


async def test_no_call_keeps_redis_long(appender, redis):
    big = request(*["a"] * 4000)
    verdicts = await asyncio.gather(*(appender.append(PROJECT, big) for _ in range(5)), appender.append(PROJECT, big))
    assert [verdict.base for verdict in verdicts] == [0, 4000, 8000, 12000, 16000, 20000]
    calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls == 3


async def test_requests_that_come_while_a_call_is_under_way_go_together(appender, redis):
    await appender.append(PROJECT, request("first"))
    before = await scripts_run(redis)
    await redis.client_pause(30_000, all=False)
    under_way = []
    for number in range(20):
        under_way.append(asyncio.create_task(appender.append(PROJECT, request(f"{number}"))))
        # Each in a turn of the event loop of its own.
        await asyncio.sleep(0.001)
    other = LogProject("prj_b", 7, None)
    lone = asyncio.create_task(appender.append(other, request("other")))
    await asyncio.sleep(0.01)
    await redis.client_unpause()
    verdicts = await asyncio.gather(*under_way)
    assert (await lone).base == 0
    assert [verdict.base for verdict in verdicts] == list(range(1, 21))
    # One was let go at once, the other nineteen when it was back; the other project waited for none.
    assert await scripts_run(redis) - before == 3


async def scripts_run(redis) -> int:
    return (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
