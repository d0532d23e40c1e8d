"""Says where the events of a receipt are, from each sink's cursor and its dead letters; the log itself is not read."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from headgate.v1.receipt_service_pb2 import GetReceiptResponse, SinkProgress

from headgate_service.log.filtered_bits import count_set, spans
from headgate_service.log.names import ProjectKeys, shard_keys
from headgate_service.log.reader import timestamp
from headgate_service.log.redis_pipeline import RedisPipeline
from headgate_service.receipt import Receipt


class ReceiptLookup:
    """Looks receipts up. `sinks_of` names the sinks of a project, in order; `lost_ms` says when the log of a shard was
    last lost, if ever."""

    def __init__(
        self,
        redis: RedisPipeline,
        sinks_of: Callable[[str], Sequence[str]],
        lost_ms: Callable[[int], int | None],
    ) -> None:
        self._redis = redis
        self._sinks_of = sinks_of
        self._lost_ms = lost_ms

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
        cursors = await self._redis.execute("HMGET", keys.cursors, *(f"c:{sink}" for sink in sinks))
        for sink, cursor in zip(sinks, cursors, strict=True):
            response.sinks.append(await self._sink_progress(keys, sink, _settled_through(cursor), receipt))
        return response

    async def _sink_progress(self, keys: ProjectKeys, sink: str, settled: int, receipt: Receipt) -> SinkProgress:
        progress = SinkProgress(sink=sink)
        for before, last in receipt.ranges:
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
