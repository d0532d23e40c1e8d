"""Keeps a shard's log short."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from redis.exceptions import ResponseError

from headgate_service.delivery.batch_reader import EventCache, read_range
from headgate_service.delivery.log_range import LogRange
from headgate_service.delivery.settlement import GivenUp
from headgate_service.delivery.shard_log import ShardLog, Use
from headgate_service.errors import RedisUnavailable
from headgate_service.log.position import Position
from headgate_service.model.route import Route

_ENTRIES_AT_ONCE = 8


class Expiry:
    """Of one sink in one shard. A project may have so many payload bytes after the sink's position in it."""

    def __init__(self, log: ShardLog, cache: EventCache, route: Route | None, backlog_bytes: int) -> None:
        self._log = log
        self._cache = cache
        self._route = route
        self._backlog_bytes = backlog_bytes

    async def overdue(
        self, positions: Mapping[str, Position], uses: Mapping[str, Use], promised: Sequence[LogRange]
    ) -> dict[str, GivenUp]:
        """What must go of each project, the oldest first; projects within the bound are left out. Of what is promised
        nothing is left that was counted already and has no event before its end: its cursor may go there."""
        found: dict[str, GivenUp] = {}
        for project_id, use in uses.items():
            start = positions[project_id]
            excess = use.bytes - start.bytes - self._backlog_bytes
            if excess > 0:
                held = [log_range for log_range in promised if log_range.project_id == project_id]
                end = await self._position_after(project_id, start, excess)
                one = await self._given_up(project_id, start, end, held)
                if one.end != start:
                    found[project_id] = one
        return found

    async def _given_up(self, project_id: str, start: Position, end: Position, held: Sequence[LogRange]) -> GivenUp:
        if self._route is None and not held:
            return GivenUp.whole(start, end)
        dead: list[int] = []
        filtered: list[int] = []
        errors, reached = 0, start
        for log_range in held:
            if log_range.start.seq >= end.seq:
                break
            if log_range.last > end.seq and log_range.ordinals and log_range.ordinals[-1] > end.seq:
                log_range = log_range.through(end.seq)
            dead += log_range.ordinals
            filtered += log_range.filtered
            errors += log_range.route_errors
            reached = log_range.end
        if reached.seq >= end.seq:
            return GivenUp(reached, dead, reached.bytes - start.bytes, filtered, errors)
        if self._route is None:
            dead += range(reached.seq + 1, end.seq + 1)
            return GivenUp(end, dead, end.bytes - start.bytes, filtered, errors)
        beyond = await read_range(self._log, self._cache, project_id, reached, end, self._route)
        dead += beyond.ordinals
        filtered += beyond.filtered
        return GivenUp(beyond.end, dead, end.bytes - start.bytes, filtered, errors + beyond.route_errors)

    async def _position_after(self, project_id: str, start: Position, payload_bytes: int) -> Position:
        """The end of the first entry with which at least so many bytes after `start` are done."""
        position = start
        while position.bytes - start.bytes < payload_bytes:
            entries = await self._log.read(project_id, position.entry, _ENTRIES_AT_ONCE)
            if not entries:
                break
            for entry in entries:
                position = Position(entry.id, entry.seq, entry.log_bytes)
                if position.bytes - start.bytes >= payload_bytes:
                    break
        return position


_BATCHES_PER_TRIM = 16
_PROJECTS_AT_ONCE = 64
# Of the time that events are kept, so small a part may pass between two looks at a project that has not too much.
_STEPS = 64

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Kept:
    """What is known of a project's log: when, by the loop's clock, its oldest entry is too old, and its payload bytes
    that are gone, and that a sink is done with."""

    due: float
    gone: int
    settled: int


class Trimmer:
    """Removes from a shard's log what every sink is done with: of projects that moved every 16 batches, of all of them
    every `seconds`. `sinks_of` names those that read a project; `keep_bytes` says how many settled payload bytes a
    project may keep at this time.

    A project of which nothing can go yet, for it is neither too old nor too much, is left alone: else each event of
    many projects would cost a look of its own.
    """

    def __init__(
        self,
        log: ShardLog,
        sinks_of: Callable[[str], Iterable[str]],
        seconds: float,
        keep_ms: int,
        keep_bytes: Callable[[], int],
        on_step: Callable[[str], None],
    ) -> None:
        self._log = log
        self._sinks_of = sinks_of
        self._seconds = seconds
        self._keep_ms = keep_ms
        self._keep_bytes = keep_bytes
        self._on_step = on_step
        self._known: dict[str, _Kept] = {}
        self._moved: set[str] = set()
        self._batches = 0
        self._wake = asyncio.Event()
        self._everything = False
        self._stopping = False

    def moved(self, settled: Mapping[str, int]) -> None:
        """A sink is done with a project's payload bytes through so many, by project."""
        now = asyncio.get_running_loop().time()
        for project_id, size in settled.items():
            kept = self._known.get(project_id)
            if kept is None:
                # There is no hurry to learn what else its log holds: many projects that come at once would cost a look
                # each with their first events.
                self._known[project_id] = _Kept(now + min(self._keep_ms / 1000, self._seconds), 0, size)
            else:
                kept.settled = max(kept.settled, size)
        self._moved.update(settled)
        self._batches += 1
        if self._batches >= _BATCHES_PER_TRIM:
            self._batches = 0
            self._wake.set()

    def trim_soon(self) -> None:
        """Less may be kept of all projects now."""
        self._everything = True
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`, or raises Fenced."""
        while not self._stopping:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()
            except TimeoutError:
                self._everything = True
            self._wake.clear()
            if self._stopping:
                return
            try:
                project_ids = list(self._moved)
                if self._everything:
                    self._everything = False
                    project_ids = await self._log.projects()
                    self._known = {one: self._known[one] for one in project_ids if one in self._known}
                await self._trim(project_ids)
            except (RedisUnavailable, ResponseError) as error:
                _log.warning("trimming waits for Redis", shard=self._log.shard, error=str(error))

    async def _trim(self, project_ids: list[str]) -> None:
        self._moved.difference_update(project_ids)
        keep_bytes, now = self._keep_bytes(), asyncio.get_running_loop().time()
        due = [one for one in project_ids if self._is_due(one, now, keep_bytes)]
        for first in range(0, len(due), _PROJECTS_AT_ONCE):
            some = due[first : first + _PROJECTS_AT_ONCE]
            await asyncio.gather(*(self._trim_one(project_id, keep_bytes) for project_id in some))
            self._on_step("trim")

    async def _trim_one(self, project_id: str, keep_bytes: int) -> None:
        trimmed = await self._log.trim(project_id, self._sinks_of(project_id), self._keep_ms, keep_bytes)
        # What is kept for a day goes in steps, and not an event at a time.
        due = asyncio.get_running_loop().time() + max(trimmed.due_ms, self._keep_ms / _STEPS) / 1000
        kept = self._known.setdefault(project_id, _Kept(due, trimmed.gone_bytes, trimmed.gone_bytes))
        kept.due, kept.gone = due, trimmed.gone_bytes

    def _is_due(self, project_id: str, now: float, keep_bytes: int) -> bool:
        kept = self._known.get(project_id)
        return kept is None or now >= kept.due or kept.settled - kept.gone > keep_bytes
