"""One sink's books in one project, and whether they balance."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.v1 import log_pb2

from headgate_service.log.position import Position, oldest
from headgate_service.redis.keys import ProjectKeys, ShardKeys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Script


@dataclass(frozen=True, slots=True)
class EntryMark:
    """What an entry of the log says of itself: its time, the project's accepted events through it, and how many it
    holds."""

    id: str
    seq: int
    events: int

    @property
    def ms(self) -> int:
        return int(self.id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Books:
    """What became of a project's events at a sink since the sink's start in it.

    `start` and `last` are counts of the project's accepted events; `pending` was counted entry by entry in the log.
    `oldest_ms`: when the oldest pending event was received; None: none is pending. `backlog_bytes`: what is after the
    sink's place in the log, in payload bytes.
    """

    sink: str
    project_id: str
    start: int
    last: int
    delivered: int
    filtered: int
    dead: int
    pending: int
    oldest_ms: int | None
    backlog_bytes: int = 0

    @property
    def accepted(self) -> int:
        return self.last - self.start

    @property
    def difference(self) -> int:
        """What the books cannot explain: not 0 only where something is wrong."""
        return self.accepted - self.delivered - self.filtered - self.dead - self.pending


def pending(marks: Sequence[EntryMark], settled: int) -> tuple[int, int | None]:
    """How many events of these entries come after the project's event number `settled`, and when the first of them
    was received."""
    count, oldest_ms = 0, None
    for mark in marks:
        # A sink may have settled a part of an entry.
        left = min(mark.events, mark.seq - settled)
        if left > 0:
            count += left
            oldest_ms = mark.ms if oldest_ms is None else oldest_ms
    return count, oldest_ms


# So much at a time keeps Redis for a few milliseconds only.
ENTRIES_AT_ONCE = 500
_TRIES = 5

_BOOKS, _MARKS = Script("books", __package__), Script("marks", __package__)


class Ledger:
    """Every method raises RedisUnavailable, ResponseError. Nothing is written."""

    def __init__(self, redis: RedisPipeline, entries_at_once: int = ENTRIES_AT_ONCE) -> None:
        self._redis = redis
        self._entries_at_once = entries_at_once
        # By the seals' key: their version, and what they say was counted already, by project.
        self._counted: dict[str, tuple[bytes, Mapping[str, int]]] = {}

    async def books(self, shard: ShardKeys, project_id: str, sinks: Sequence[str]) -> list[Books]:
        """The books of each sink in a project, in order, as of one moment."""
        project = shard.project(project_id)
        seals = [shard.seals(sink) for sink in sinks]
        keys = [project.cursors, project.use, project.log, *seals]
        for _ in range(_TRIES):
            known = (self._counted.get(key, (b"", {}))[0] for key in seals)
            asked = [part for pair in zip(sinks, known, strict=True) for part in pair]
            last, trimmed, size, trimmed_size, rows, marks, more = await _BOOKS.run(
                self._redis, keys, self._entries_at_once, *asked
            )
            for key, row in zip(seals, rows, strict=True):
                if self._counted.get(key, (b"",))[0] != row[5]:
                    self._counted[key] = row[5], _counted(row[6])
            counted = [self._counted[key][1].get(project_id, 0) for key in seals]
            found = _marks(marks)
            while more and found[-1].id != (through := more.decode()):
                added = await self._more(project, found[-1].id, through)
                if not added:
                    break
                found += added
            # Where the log was trimmed between two reads, entries may be missing from what was read.
            if not more or int(await self._redis.execute("HGET", project.use, "trimmed_seq") or 0) == int(trimmed):
                break
        return [
            _books(sink, project_id, (int(last), int(size)), (int(trimmed), int(trimmed_size)), row, already, found)
            for sink, row, already in zip(sinks, rows, counted, strict=True)
        ]

    async def _more(self, project: ProjectKeys, after: str, through: str) -> list[EntryMark]:
        return _marks(await _MARKS.run(self._redis, [project.log], after, through, self._entries_at_once))


def _counted(seals: Sequence[bytes]) -> Mapping[str, int]:
    """Of events after a sink's cursor, how many were settled before those that it waits for, by project."""
    counted: dict[str, int] = defaultdict(int)
    for seal in seals:
        for one in log_pb2.SealedBatch.FromString(seal).ranges:
            if one.counted:
                counted[one.project_id] += one.counted
    return counted


def _marks(raw: Sequence[bytes]) -> list[EntryMark]:
    marks: list[EntryMark] = []
    for entry_id, text in zip(raw[::2], raw[1::2], strict=True):
        seq, _, _, events = text.decode().split(" ")
        marks.append(EntryMark(entry_id.decode(), int(seq), int(events)))
    return marks


def _books(
    sink: str,
    project_id: str,
    last: tuple[int, int],
    trimmed: tuple[int, int],
    row: Sequence[Any],
    already: int,
    marks: Sequence[EntryMark],
) -> Books:
    cursor, start, delivered, filtered, dead = row[:5]
    position = Position.parse(cursor.decode()) if cursor else oldest(*trimmed)
    # A sink that has settled nothing starts with what is there.
    begin = int(start) if start else 0 if cursor else trimmed[0]
    waiting, oldest_ms = pending(marks, position.seq)
    # What left the log before a disabled sink: it is given up when the sink is back.
    lost = max(0, trimmed[0] - position.seq)
    return Books(
        sink=sink,
        project_id=project_id,
        start=begin,
        last=last[0],
        delivered=int(delivered),
        filtered=int(filtered),
        dead=int(dead) + lost,
        pending=waiting - already,
        oldest_ms=oldest_ms,
        backlog_bytes=last[1] - position.bytes,
    )
