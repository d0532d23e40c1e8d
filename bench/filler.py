"""Puts events into a log without a gateway or a service, as fast as Redis takes them."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice

from headgate.v1 import event_pb2
from headgate_service.log.append import Append, Appender, LogProject
from headgate_service.log.entry import Chunk, encode
from headgate_service.redis.keys import SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline

PER_ENTRY = 100
# Requests under way at once.
_WIDTH = 64
# Batches of different events, sent in turn.
_KINDS = 20


@dataclass(frozen=True)
class Filled:
    """How many events were appended, the bytes of their payloads as stored, and of the events before compression."""

    events: int
    payload_bytes: int
    event_bytes: int


def fill(
    redis_url: str,
    projects: Sequence[LogProject],
    events: int,
    *,
    with_ids: bool = False,
    per_second: float | None = None,
) -> Filled:
    """Appends so many events, 100 an entry, to the projects in turn.

    `with_ids`: each has a client's id of its own, so that the dedup window holds them. `per_second`: no more than so
    many.
    """
    return asyncio.run(_fill(redis_url, projects, events // PER_ENTRY, with_ids, per_second))


async def _fill(
    redis_url: str, projects: Sequence[LogProject], entries: int, with_ids: bool, per_second: float | None
) -> Filled:
    redis = RedisPipeline(redis_url)
    appender = Appender(redis, lambda _: (), 1 << 60, lambda: datetime.now(UTC), await _Epochs.of(redis), 1 << 60)
    chunks = [_chunks(kind) for kind in range(_KINDS)]
    places = cycle(projects)
    began = time.perf_counter()
    try:
        for first in range(0, entries, _WIDTH):
            if per_second:
                await asyncio.sleep(began + first * PER_ENTRY / per_second - time.perf_counter())
            await asyncio.gather(
                *(
                    appender.append(project, Append(chunks[entry % _KINDS], dict(_ids(entry)) if with_ids else {}))
                    for entry, project in zip(range(first, min(first + _WIDTH, entries)), places, strict=False)
                )
            )
    finally:
        await redis.close()
    payload = sum(len(chunk.payload) for entry in range(entries) for chunk in chunks[entry % _KINDS])
    plain = [sum(event.ByteSize() for event in islice(_events(kind), PER_ENTRY)) for kind in range(_KINDS)]
    return Filled(entries * PER_ENTRY, payload, sum(plain[entry % _KINDS] for entry in range(entries)))


class _Epochs:
    """Those that a Redis holds; of one that holds none, ones that are made here."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @classmethod
    async def of(cls, redis: RedisPipeline) -> "_Epochs":
        keys = [shard_keys(shard).epoch for shard in range(SHARDS)]
        await asyncio.gather(*(redis.execute("SET", key, "bench", "NX") for key in keys))
        found = await asyncio.gather(*(redis.execute("GET", key) for key in keys))
        return cls([name.decode() for name in found])

    def name(self, shard: int) -> str:
        return self._names[shard]

    def lost(self, shard: int) -> None:
        raise RuntimeError("Redis was emptied while it was filled")


def _chunks(kind: int) -> list[Chunk]:
    return encode(event_pb2.DIALECT_REALANALYTICS, list(islice(_events(kind), PER_ENTRY)))


def _events(kind: int) -> Iterator[event_pb2.Event]:
    for number in range(kind * PER_ENTRY, (kind + 1) * PER_ENTRY):
        properties = {"price": number * 37 % 9973 / 100, "plan": "pro", "number": number * 7919, "source": "pricing"}
        yield event_pb2.Event(
            name="signup_completed",
            occur_time={"seconds": 1_770_132_600 + number, "nanos": number * 1_000_003 % 1000 * 1_000_000},
            distinct_id=f"user-{number * 104_729 % 1_000_003}",
            session_id=f"session-{number * 15_485_863 % 1_000_003}",
            page=event_pb2.Page(href=f"https://example.com/p/{number}", path=f"/p/{number}", title="Pricing"),
            properties_json=json.dumps(properties).encode(),
        )


def _ids(entry: int) -> Iterator[tuple[int, str]]:
    return ((place, f"filled-{entry * PER_ENTRY + place:012d}") for place in range(PER_ENTRY))
