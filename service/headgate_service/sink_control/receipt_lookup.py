"""Says where the events of a receipt are, from each sink's cursor and its dead letters; the log itself is not read."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from headgate.v1.receipt_service_pb2 import GetReceiptResponse, SinkProgress

from headgate_service.log.position import KEPT_MS, count_set, spans
from headgate_service.log.reader import timestamp
from headgate_service.model.receipt import Receipt
from headgate_service.redis.keys import ProjectKeys, shard_keys
from headgate_service.redis.pipeline import RedisPipeline


class ReceiptLookup:
    """Looks receipts up. `sinks_of` names the sinks of a project, in order; `lost_ms` says when the log of a shard was
    last lost, if ever."""

    def __init__(
        self,
        redis: RedisPipeline,
        sinks_of: Callable[[str], Sequence[str]],
        lost_ms: Callable[[int], int | None],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._sinks_of = sinks_of
        self._lost_ms = lost_ms
        self._now_ms = now_ms

    async def progress(self, text: str, receipt: Receipt) -> GetReceiptResponse:
        """Raises RedisUnavailable."""
        response = GetReceiptResponse(
            receipt=text,
            received=receipt.received,
            accepted=receipt.accepted,
            duplicate=receipt.duplicate,
            dropped=receipt.dropped,
            refused=receipt.refused,
            durable=True,
            receive_time=timestamp(receipt.ms),
        )
        lost_ms = self._lost_ms(receipt.shard)
        if lost_ms is not None and receipt.ms <= lost_ms:
            # What was known of each event's way to each sink went with the log, and later events have its place.
            response.durable = False
            response.log_lost_time.CopyFrom(timestamp(lost_ms))
            return response
        sinks = self._sinks_of(receipt.project_id)
        if not sinks:
            return response
        keys = shard_keys(receipt.shard).project(receipt.project_id)
        asked = (f"{what}:{sink}" for sink in sinks for what in ("c", "start", "filtered"))
        found, trimmed = await asyncio.gather(
            self._redis.execute("HMGET", keys.cursors, *asked), self._redis.execute("HGET", keys.use, "trimmed_seq")
        )
        for sink, cursor, start, filtered in zip(sinks, found[::3], found[1::3], found[2::3], strict=True):
            # One that has settled nothing starts with what is there.
            begin = int(start or (0 if cursor else trimmed) or 0)
            progress = await self._sink_progress(keys, sink, begin, _settled_through(cursor), receipt)
            if progress.delivered and int(filtered or 0) and self._now_ms() - receipt.ms > KEPT_MS:
                progress.not_tracked += progress.delivered
                progress.delivered = 0
            response.sinks.append(progress)
        return response

    async def _sink_progress(
        self, keys: ProjectKeys, sink: str, begin: int, settled: int, receipt: Receipt
    ) -> SinkProgress:
        """`begin` and `settled`: the project's events before the sink's start, and through what it has settled."""
        progress = SinkProgress(sink=sink)
        for first, last in receipt.ranges:
            before = min(max(first, begin), last)
            progress.not_tracked += before - first
            done = min(max(settled - before, 0), last - before)
            progress.pending += last - before - done
            if done:
                dead, filtered = await asyncio.gather(
                    self._dead(keys, sink, before, before + done), self._filtered(keys, sink, before, before + done)
                )
                progress.dead += dead
                progress.filtered += filtered
                progress.delivered += done - dead - filtered
        return progress

    async def _dead(self, keys: ProjectKeys, sink: str, before: int, last: int) -> int:
        """How many of the ordinals after `before` through `last` are dead: the ranges do not overlap."""
        found: list[Any] = await self._redis.execute(
            "ZRANGEBYSCORE", keys.dead_ranges(sink), before + 1, "+inf", "LIMIT", 0, last - before
        )
        bounds = (member.decode().split("-") for member in found)
        return sum(max(min(int(high), last) - max(int(low), before), 0) for low, high in bounds)

    async def _filtered(self, keys: ProjectKeys, sink: str, before: int, last: int) -> int:
        """How many of these ordinals the sink's route kept from it."""
        places = spans(before, last)
        found = await asyncio.gather(
            *(
                self._redis.execute("GETRANGE", keys.filtered(sink, block), low >> 3, high >> 3)
                for block, low, high in places
            )
        )
        return sum(count_set(raw, low, high) for raw, (_, low, high) in zip(found, places, strict=True))


def _settled_through(cursor: bytes | None) -> int:
    return int(cursor.split(b" ")[1]) if cursor else 0
