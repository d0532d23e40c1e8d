"""The redis_stream sink against a real Redis."""

import asyncio
import json
from pathlib import Path

import pytest
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result, Retry
from headgate_sinks.redis_stream import RedisStreamConfig, RedisStreamSink, record_key, told
from pydantic import ValidationError
from redis import exceptions


def batch(number: int, shard: int = 7, epoch: str = "e", events: int = 3) -> Batch:
    made = [
        event_pb2.Event(
            event_id=f"{shard}-{number}-{place}", name="ä", project_id="p", properties_json=b'{"n":9223372036854775807}'
        )
        for place in range(events)
    ]
    return Batch(f"{epoch}-stream-s{shard:02d}-{number:06d}", epoch, shard, number, 1795262400123, made)


class Target:
    def __init__(self, url, redis):
        self.url, self.redis = url, redis

    def sink(self, url=None, environment=None, **config):
        place = Place("stream", Path(), lambda: 0.0, environment or {})
        return RedisStreamSink(RedisStreamConfig(url=url or self.url, **config), place)

    async def write(self, *batches, **config):
        sink = self.sink(**config)
        await sink.open()
        try:
            return [await sink.write(one) for one in batches]
        finally:
            await sink.close()

    async def entries(self, stream="headgate:events"):
        return [fields for _, fields in await self.redis.xrange(stream)]

    async def ids(self):
        return [fields[b"id"].decode() for fields in await self.entries()]


@pytest.fixture
def target(redis_url, redis):
    return Target(redis_url, redis)


async def test_an_event_is_an_entry(target):
    assert await target.write(batch(1, events=1)) == [Result()]
    (entry,) = await target.entries()
    assert {name.decode(): value.decode() for name, value in entry.items() if name != b"event"} == {
        "batch": "e-stream-s07-000001",
        "id": "7-1-0",
        "name": "ä",
        "project": "p",
    }
    assert json.loads(entry[b"event"])["properties"] == {"n": 9223372036854775807}


async def test_the_documented_example(target, documented):
    environment = {"EVENTS_REDIS_URL": target.url}
    assert await target.write(batch(1), environment=environment, **documented("redis_stream")) == [Result()]
    assert await target.ids() == ["7-1-0", "7-1-1", "7-1-2"]


async def test_a_batch_that_comes_again_is_not_appended_twice(target):
    assert await target.write(batch(1), batch(2), batch(2)) == [Result()] * 3
    assert await target.write(batch(1), batch(2), batch(3)) == [Result()] * 3
    assert await target.ids() == [f"7-{number}-{place}" for number in (1, 2, 3) for place in range(3)]


async def test_shards_and_epochs_count_for_themselves(target):
    await target.write(batch(5), batch(1, shard=8), batch(1, epoch="other"), batch(1, shard=8))
    assert len(await target.entries()) == 9


async def test_writes_of_many_shards_at_once(target):
    sink = target.sink()
    await sink.open()
    await asyncio.gather(*(sink.write(batch(number, shard)) for shard in range(20) for number in (1, 1)))
    await sink.close()
    assert len(await target.ids()) == len(set(await target.ids())) == 60


async def test_a_stream_is_kept_short(target):
    for number in range(1, 6):
        await target.write(batch(number, events=500), max_length=600)
    assert 600 <= await target.redis.xlen("headgate:events") < 1000


async def test_no_memory_leaves_nothing_behind_and_the_batch_comes_again(target, redis):
    before = (await redis.config_get("maxmemory"))["maxmemory"]
    await redis.config_set("maxmemory", 1)
    try:
        (answer,) = await target.write(batch(1))
        assert isinstance(answer, Retry)
        assert "memory" in answer.message
        assert await redis.keys() == []
    finally:
        await redis.config_set("maxmemory", before)
    assert await target.write(batch(1)) == [Result()]
    assert len(await target.entries()) == 3


async def test_another_key_of_that_name_is_left_alone(target, redis):
    await redis.set("headgate:events", "mine")
    (answer,) = await target.write(batch(1))
    assert isinstance(answer, Misconfigured)
    assert "`stream`" in answer.message
    with pytest.raises(Misconfigured, match="stream"):
        await target.sink().check()
    assert await redis.get("headgate:events") == b"mine"


async def test_a_record_that_is_no_record_is_left_alone(target, redis):
    await redis.set(record_key("headgate:events"), "mine")
    (answer,) = await target.write(batch(1))
    assert isinstance(answer, Misconfigured)
    assert await target.entries() == []


async def test_users(target, redis):
    path = target.url.removeprefix("unix://").partition("?")[0]
    await redis.execute_command("ACL", "SETUSER", "hg", "on", ">s3cret", "~mine:*", "+@all")
    try:
        good = f"unix://hg:s3cret@{path}"
        assert await target.write(batch(1), url="env:REDIS", environment={"REDIS": good}, stream="mine:{x}") == [
            Result()
        ]
        for url, stream in ((f"unix://hg:s3cret-wrong@{path}", "mine:{x}"), (good, "headgate:events")):
            (answer,) = await target.write(batch(2), url=url, stream=stream)
            assert isinstance(answer, Misconfigured)
            assert "s3cret" not in answer.message
            with pytest.raises(Misconfigured):
                await target.sink(url=url, stream=stream).check()
    finally:
        await redis.execute_command("ACL", "DELUSER", "hg")


async def test_no_redis_is_retried_and_says_nothing_secret(target):
    url = "redis://:s3cret@127.0.0.1:9/0"
    (answer,) = await target.write(batch(1), url=url)
    assert isinstance(answer, Retry)
    with pytest.raises(Retry) as raised:
        await target.sink(url=url).check()
    assert "s3cret" not in answer.message + str(raised.value)


@pytest.mark.parametrize("url", ["http://s3cret", "s3cret", "env:NO_SUCH", "redis://x:s3cret/0"])
async def test_a_url_that_only_a_person_can_mend(target, url):
    with pytest.raises(Misconfigured) as raised:
        await target.write(batch(1), url=url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (exceptions.MovedError("1 127.0.0.1:7000"), Misconfigured, "Cluster"),
        (exceptions.NoPermissionError("s3cret"), Misconfigured, "rights"),
        (exceptions.ResponseError("ERR unknown command `EVALSHA`"), Misconfigured, "Redis 5"),
        (exceptions.ResponseError("ERR Error running script: @user_script: WRONGTYPE s3cret"), Misconfigured, "stream"),
        (exceptions.ResponseError("MISCONF s3cret"), Retry, "ResponseError"),
        (exceptions.ReadOnlyError("s3cret"), Retry, "ReadOnlyError"),
        (exceptions.OutOfMemoryError("s3cret"), Retry, "memory"),
        (exceptions.BusyLoadingError("s3cret"), Retry, "BusyLoadingError"),
        (exceptions.TimeoutError("s3cret"), Retry, "no answer"),
        (ConnectionResetError("s3cret"), Retry, "no answer"),
    ],
)
def test_what_an_error_says(error, expected, words):
    answer = told(error)
    assert isinstance(answer, expected)
    assert words in answer.message
    assert "s3cret" not in answer.message


async def test_checking_writes_nothing(target, redis):
    await target.sink().check()
    await target.sink(url=target.url + ("&" if "?" in target.url else "?") + "decode_responses=True").check()
    assert await redis.keys() == []


def test_the_record_is_in_the_slot_of_its_stream():
    assert record_key("events") == "{events}:written"
    assert record_key("{shop}:events") == "{shop}:events:written"


def test_settings_are_checked_and_show_no_secret():
    with pytest.raises(ValidationError):
        RedisStreamConfig(url="redis://x", stream="")
    assert "s3cret" not in repr(RedisStreamConfig(url="redis://:s3cret@x"))
