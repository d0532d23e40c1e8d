"""Replays: sending what the log still holds to a sink once more."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headgate.v1 import delivery_pb2, event_pb2

from headgate_service.directory.project import Project
from headgate_service.errors import ReplayUnknown
from headgate_service.log.position import Position
from headgate_service.log.reader import entry
from headgate_service.model.route import Route, RouteFailed
from headgate_service.redis.keys import COMMANDS, REPLAYS, replay_sink, shard_keys
from headgate_service.redis.pipeline import RedisPipeline

_AT_ONCE = 64
_ENTRIES_AT_ONCE = 50
# By a preview, of which a person waits for the answer.
MAX_LOOKED_AT = 100_000
_KEPT = 100


@dataclass(frozen=True, slots=True)
class ReplayView:
    """A replay and its books; `pending` of one that has ended is what it did not send."""

    stored: delivery_pb2.StoredReplay
    selected: int
    delivered: int
    filtered: int
    dead: int
    pending: int


class Replays:
    """Every method raises RedisUnavailable, ResponseError. Times are in milliseconds since 1970."""

    def __init__(
        self, redis: RedisPipeline, make_id: Callable[[], str], clock: Callable[[], float] = time.time
    ) -> None:
        self._redis = redis
        self._make_id = make_id
        self._clock = clock

    async def ranges(
        self, projects: Sequence[Project], from_ms: int, to_ms: int
    ) -> list[tuple[Position, delivery_pb2.StoredReplayRange]]:
        """What the log holds that was received from one time until before another, by project: from where, and what."""
        found: list[tuple[Position, delivery_pb2.StoredReplayRange]] = []
        for first in range(0, len(projects), _AT_ONCE):
            some = projects[first : first + _AT_ONCE]
            parts = await asyncio.gather(*(self._range(project, from_ms, to_ms) for project in some))
            found += [part for part in parts if part is not None]
        return found

    async def start(
        self,
        sink: str,
        parts: Sequence[tuple[Position, delivery_pb2.StoredReplayRange]],
        rate: int,
        route: str = "",
        *,
        from_store: bool = False,
    ) -> ReplayView:
        """Begins one; `rate` is in events a second, 0 for no limit. `route`: of the sink's events, those of which it is
        true. `from_store`: its ranges are those of StoreReplays."""
        stored = delivery_pb2.StoredReplay(
            id=self._make_id(),
            sink=sink,
            start_ms=int(self._clock() * 1000),
            rate=rate,
            route=route,
            from_store=from_store,
            ranges=[part for _, part in parts],
            end=delivery_pb2.StoredReplay.END_UNSPECIFIED if parts else delivery_pb2.StoredReplay.END_DONE,
        )
        name = replay_sink(stored.id)
        # The cursors first: a forwarder that finds the replay finds them.
        await asyncio.gather(
            *(
                self._redis.execute(
                    *("HSET", shard_keys(part.shard).project(part.project_id).cursors),
                    *(f"c:{name}", str(begin), f"start:{name}", begin.seq),
                )
                for begin, part in parts
            )
        )
        await self._redis.execute("HSET", REPLAYS, stored.id, stored.SerializeToString())
        await self._redis.execute("INCR", COMMANDS)
        await self._forget_old()
        return await self._view(stored)

    async def view(self) -> list[ReplayView]:
        """All that are remembered, the latest first."""
        return [await self._view(stored) for stored in await self._all()]

    async def picked(
        self, parts: Sequence[tuple[Position, delivery_pb2.StoredReplayRange]], route: Route
    ) -> tuple[int, int]:
        """How many of the first events of a selection a route picks, and how many it was asked of."""
        picked = looked_at = 0
        for begin, part in parts:
            log, after, done = shard_keys(part.shard).project(part.project_id).log, begin.entry, begin.seq
            while done < part.last_seq and looked_at < MAX_LOOKED_AT:
                raw = await self._redis.execute("XRANGE", log, f"({after}", part.last_entry, "COUNT", _ENTRIES_AT_ONCE)
                if not raw:
                    break
                for entry_id, fields in raw:
                    found = entry(part.project_id, entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
                    events = found.events()
                    looked_at += len(events)
                    picked += sum(takes(route, event) for event in events)
                    after, done = found.id, found.seq
                # It is asked of many: others have their turn.
                await asyncio.sleep(0)
        return picked, looked_at

    async def stored(self, replay_id: str) -> delivery_pb2.StoredReplay:
        """Raises ReplayUnknown."""
        raw = await self._redis.execute("HGET", REPLAYS, replay_id)
        if raw is None:
            raise ReplayUnknown(f"there is no replay {replay_id!r}: `headgate sinks replay status` lists them")
        return delivery_pb2.StoredReplay.FromString(raw)

    async def cancel(self, replay_id: str) -> None:
        """Raises ReplayUnknown."""
        stored = await self.stored(replay_id)
        if stored.end == delivery_pb2.StoredReplay.END_UNSPECIFIED:
            stored.end = delivery_pb2.StoredReplay.END_CANCELLED
            await self._redis.execute("HSET", REPLAYS, replay_id, stored.SerializeToString())
            await self._redis.execute("INCR", COMMANDS)

    async def _range(
        self, project: Project, from_ms: int, to_ms: int
    ) -> tuple[Position, delivery_pb2.StoredReplayRange] | None:
        keys = shard_keys(project.shard).project(project.id)
        # As the end of a range, a time alone stands for the last entry of its millisecond.
        before, last, trimmed = await asyncio.gather(
            self._redis.execute("XREVRANGE", keys.log, max(from_ms - 1, 0), "-", "COUNT", 1),
            self._redis.execute("XREVRANGE", keys.log, to_ms - 1, "-", "COUNT", 1),
            self._redis.execute("HMGET", keys.use, "trimmed_seq", "trimmed_bytes"),
        )
        if not last:
            return None
        begin = _position(before[0]) if before else Position("0-0", int(trimmed[0] or 0), int(trimmed[1] or 0))
        end = _position(last[0])
        if end.seq <= begin.seq:
            return None
        return begin, delivery_pb2.StoredReplayRange(
            project_id=project.id,
            shard=project.shard,
            after_seq=begin.seq,
            last_seq=end.seq,
            last_entry=end.entry,
            last_bytes=end.bytes,
        )

    async def _all(self) -> list[delivery_pb2.StoredReplay]:
        raw = await self._redis.execute("HVALS", REPLAYS)
        stored = [delivery_pb2.StoredReplay.FromString(one) for one in raw]
        return sorted(stored, key=lambda one: one.start_ms, reverse=True)

    async def _view(self, stored: delivery_pb2.StoredReplay) -> ReplayView:
        name = replay_sink(stored.id)
        rows = await asyncio.gather(
            *(
                self._redis.execute(
                    *("HMGET", shard_keys(part.shard).project(part.project_id).cursors),
                    *(f"delivered:{name}", f"filtered:{name}", f"dead:{name}"),
                )
                for part in stored.ranges
            )
        )
        selected = sum(part.last_seq - part.after_seq for part in stored.ranges)
        delivered, filtered, dead = (sum(int(row[column] or 0) for row in rows) for column in range(3))
        return ReplayView(stored, selected, delivered, filtered, dead, selected - delivered - filtered - dead)

    async def _forget_old(self) -> None:
        ended = [one for one in await self._all() if one.end != delivery_pb2.StoredReplay.END_UNSPECIFIED]
        for stored in ended[_KEPT:]:
            name = replay_sink(stored.id)
            fields = [f"{what}:{name}" for what in ("c", "start", "delivered", "filtered", "route_errors", "dead")]
            for part in stored.ranges:
                keys = shard_keys(part.shard)
                project = keys.project(part.project_id)
                await self._redis.execute("HDEL", project.cursors, *fields)
                await self._redis.execute("DEL", project.dead_ranges(name), keys.seals(name))
            await self._redis.execute("HDEL", REPLAYS, stored.id)


def _position(raw: tuple[bytes, list[bytes]]) -> Position:
    entry_id, fields = raw
    seq, size, *_ = fields[1].decode().split(" ")
    return Position(entry_id.decode(), int(seq), int(size))


def takes(route: Route, event: event_pb2.Event) -> bool:
    """Whether a route picks an event; one that it cannot tell is not picked."""
    try:
        return route.takes(event)
    except RouteFailed:
        return False
