"""Reads what is new in the log into batches, within a sink's limits."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from headgate.v1 import event_pb2, log_pb2
from headgate_sinks import Limits

from headgate_service.delivery.log_range import LogRange, Mark, as_sealed, start_of
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.log.position import Position
from headgate_service.log.reader import Entry, Read
from headgate_service.model.project_route import MAX_COST
from headgate_service.model.route import Route, RouteFailed
from headgate_service.redis.script import Stale

_PROJECTS_AT_ONCE = 16
_READ_BYTES = 4 * 1024 * 1024
_MAX_ENTRIES = 2000
# A batch ends here too, so that one with a selective route is not made of a whole day.
_EVENTS_SCANNED = 5000
_BYTES_SCANNED = 8 * 1024 * 1024
# What project routes may take of the process before others have their turn: as long as the dearest route takes on the
# largest event.
_ROUTE_WORK = MAX_COST * 32 * 1024


class EventCache:
    """Events of entries that were read lately, so that sinks at the tip, and batches that divide an entry, decode it
    once. Holds entries of about `payload_bytes` as stored, and at least the last one."""

    def __init__(self, payload_bytes: int = 8 * 1024 * 1024) -> None:
        self._room = payload_bytes
        self._entries: OrderedDict[tuple[str, str], tuple[Read, int]] = OrderedDict()

    def read(self, entry: Entry) -> Read:
        """Raises EntryUnreadable."""
        key = (entry.project_id, entry.id)
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            return found[0]
        read = entry.read()
        size = len(entry.payload)
        self._entries[key] = read, size
        self._room -= size
        while self._room < 0 and len(self._entries) > 1:
            self._room += self._entries.popitem(last=False)[1][1]
        return read


class BatchBuilder:
    """A batch that fills up. What does not fit stays in the log. Of what it takes, `route` picks the sink's; None: all.

    `gaps` are, by project, from where to where the log lacks what follows a position; nothing is taken from beyond one.
    `silent` are projects of which the log holds nothing after the position.
    """

    def __init__(self, limits: Limits, cache: EventCache, route: Route | None = None) -> None:
        self._events_left = limits.events
        self._bytes_left = limits.bytes
        self._scans_left = limits.events if route is None else max(limits.events, _EVENTS_SCANNED)
        self._scan_bytes_left = limits.bytes if route is None else max(limits.bytes, _BYTES_SCANNED)
        self._route_work_left = _ROUTE_WORK
        self._cache = cache
        self._route = route
        self._empty = True
        self.full = False
        self.log_ranges: list[LogRange] = []
        self.gaps: dict[str, tuple[Position, Position]] = {}
        self.silent: list[str] = []

    @property
    def scans_left(self) -> int:
        """How many events more it may look at."""
        return self._scans_left

    def add(self, project_id: str, start: Position, entries: Sequence[Entry]) -> Position:
        """Takes events after `start` while they fit; returns where it ended. Raises Stale where the entries are from
        before it, which is not a position in this log, then."""
        marks: list[Mark] = []
        events: list[event_pb2.Event] = []
        ordinals: list[int] = []
        done, errors = start.seq, 0
        for entry in entries:
            read = self._cache.read(entry)
            found = read.events
            before = entry.seq - len(found)
            if entry.seq <= done:
                raise Stale
            if before > done:
                if done == start.seq and not self._has(project_id):
                    end = Position(start.entry, before, entry.log_bytes - len(entry.payload))
                    self.gaps[project_id] = (start, end)
                break
            before_entry = done
            if before == done and self._holds_all(read):
                events += found
                ordinals += range(done + 1, entry.seq + 1)
                done = entry.seq
            for event in islice(found, done - before, None):
                if self._scans_left < 1 or self._route_work_left < 1:
                    self.full = True
                    break
                takes, failed = self._takes(event)
                if takes and not self._put(event.ByteSize()):
                    self.full = True
                    break
                done += 1
                errors += failed
                self._scans_left -= 1
                if takes:
                    events.append(event)
                    ordinals.append(done)
            if done > before_entry:
                marks.append(Mark(entry.id, entry.seq, entry.log_bytes))
            if self._route is not None:
                self._scan_bytes_left -= len(entry.payload)
                self.full = self.full or self._scan_bytes_left < 1
            if self.full:
                break
        if done == start.seq:
            return start
        log_range = LogRange(project_id, start, marks, events, ordinals, done, route_errors=errors)
        if self._has(project_id):
            last = self.log_ranges[-1]
            self.log_ranges[-1] = replace(
                last,
                marks=[*last.marks, *marks],
                events=[*last.events, *events],
                ordinals=[*last.ordinals, *ordinals],
                last=done,
                route_errors=last.route_errors + errors,
            )
        else:
            self.log_ranges.append(log_range)
        return log_range.end

    def _holds_all(self, read: Read) -> bool:
        """Takes all events of an entry where they fit for certain, without a look at each."""
        count = len(read.events)
        if self._route is not None or count > self._events_left or read.most_bytes > self._bytes_left:
            return False
        self._empty = False
        self._events_left -= count
        self._scans_left -= count
        self._bytes_left -= read.most_bytes
        return True

    def _takes(self, event: event_pb2.Event) -> tuple[bool, bool]:
        """Whether the sink gets the event, and whether its route could not tell."""
        if self._route is None:
            return True, False
        if self._route.cost:
            self._route_work_left -= self._route.cost * event.ByteSize()
        try:
            return self._route.takes(event), False
        except RouteFailed:
            return False, True

    def _put(self, size: int) -> bool:
        """Whether there is room for an event of so many bytes. One that is larger than the limit goes alone."""
        if self._events_left < 1 or (size > self._bytes_left and not self._empty):
            return False
        self._empty = False
        self._events_left -= 1
        self._bytes_left -= size
        return True

    def _has(self, project_id: str) -> bool:
        # All of a project is added before the next one.
        return bool(self.log_ranges) and self.log_ranges[-1].project_id == project_id


class BatchReader:
    """Reads one shard for one sink; learns how large entries are, so as to read about what a batch takes."""

    def __init__(self, log: ShardLog, limits: Limits, cache: EventCache, route: Route | None = None) -> None:
        self._log = log
        self._limits = limits
        self._cache = cache
        self._route = route
        self._entry_bytes = 128 * 1024.0
        self._entry_events = 1.0

    async def gather(self, news: dict[str, None], positions: dict[str, Position]) -> BatchBuilder:
        """The next batch of the projects in `news`, from their positions on. A project stays in `news`, behind the
        others, unless it was read to its end.

        A project that is marked meanwhile waits for the next batch: its position moves only when this one is settled,
        and reading on from it now would take the same events twice.
        """
        builder = BatchBuilder(self._limits, self._cache, self._route)
        waiting = list(news)
        while waiting and not builder.full:
            group, waiting = waiting[:_PROJECTS_AT_ONCE], waiting[_PROJECTS_AT_ONCE:]
            for project_id in group:
                news.pop(project_id, None)
            count = self._count(builder, len(group))
            reads = await asyncio.gather(*(self._log.read(one, positions[one].entry, count) for one in group))
            builder.silent += [one for one, entries in zip(group, reads, strict=True) if not entries]
            for project_id, entries in zip(group, reads, strict=True):
                await self._add(builder, project_id, positions[project_id], entries, count, news)
        return builder

    async def _add(
        self,
        builder: BatchBuilder,
        project_id: str,
        position: Position,
        entries: list[Entry],
        count: int,
        news: dict[str, None],
    ) -> None:
        while entries and not builder.full:
            self._learn(entries, position)
            position = builder.add(project_id, position, entries)
            if position.seq < entries[-1].seq or len(entries) < count:
                break
            count = self._count(builder, 1)
            entries = await self._log.read(project_id, entries[-1].id, count)
        if (entries and position.seq < entries[-1].seq) or len(entries) >= count:
            news[project_id] = None

    def _count(self, builder: BatchBuilder, projects: int) -> int:
        by_bytes = _READ_BYTES / projects / self._entry_bytes
        by_events = builder.scans_left / self._entry_events + 1
        return max(1, min(_MAX_ENTRIES, int(by_bytes), int(by_events)))

    def _learn(self, entries: Sequence[Entry], position: Position) -> None:
        count = len(entries)
        self._entry_bytes += (sum(len(entry.payload) for entry in entries) / count + 1 - self._entry_bytes) / 2
        self._entry_events += (max(entries[-1].seq - position.seq, 1) / count - self._entry_events) / 2


async def rebuild(log: ShardLog, cache: EventCache, sealed: log_pb2.SealedRange) -> LogRange:
    """The portion that was promised. It may come out shorter where the log no longer holds all of it."""
    start = start_of(sealed)
    whole = await read_range(log, cache, sealed.project_id, start, Position(sealed.last_entry, sealed.last_seq, 0))
    return as_sealed(whole, sealed)


async def read_range(
    log: ShardLog, cache: EventCache, project_id: str, start: Position, end: Position, route: Route | None = None
) -> LogRange:
    """What a route picks from `start` through `end`, whatever its size. It may end earlier where the log no longer
    holds all of it."""
    entries = await log.read_range(project_id, start.entry, end.entry)
    builder = BatchBuilder(Limits(events=end.seq - start.seq, bytes=1 << 62), cache)
    if entries and entries[0].seq - len(cache.read(entries[0]).events) <= start.seq:
        builder.add(project_id, start, entries)
    whole = builder.log_ranges[0] if builder.log_ranges else LogRange.whole(project_id, start, [], [])
    return whole if route is None else await _routed(whole, route)


async def _routed(whole: LogRange, route: Route) -> LogRange:
    picked: list[int] = []
    errors, work = 0, 0
    for place, event in enumerate(whole.events):
        work += route.cost * event.ByteSize() if route.cost else 0
        if work > _ROUTE_WORK:
            work = 0
            await asyncio.sleep(0)
        try:
            if route.takes(event):
                picked.append(place)
        except RouteFailed:
            errors += 1
    events, ordinals = [whole.events[one] for one in picked], [whole.ordinals[one] for one in picked]
    return replace(whole, events=events, ordinals=ordinals, route_errors=errors)
