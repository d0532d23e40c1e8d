"""Reads the books of sinks from Redis."""

from collections.abc import Sequence
from typing import Any

from headgate_service.delivery.position import Position
from headgate_service.delivery.script import Script
from headgate_service.delivery_control.books import Books, EntryMark, pending
from headgate_service.log.names import ProjectKeys
from headgate_service.log.redis_pipeline import RedisPipeline

# So much at a time keeps Redis for a few milliseconds only.
ENTRIES_AT_ONCE = 500
_TRIES = 5

_BOOKS, _MARKS = Script("books", __package__), Script("marks", __package__)


class Ledger:
    """Every method raises RedisUnavailable, ResponseError. Nothing is written."""

    def __init__(self, redis: RedisPipeline, entries_at_once: int = ENTRIES_AT_ONCE) -> None:
        self._redis = redis
        self._entries_at_once = entries_at_once

    async def books(self, project: ProjectKeys, sinks: Sequence[str]) -> list[Books]:
        """The books of each sink in a project, in order, as of one moment."""
        keys = [project.cursors, project.use, project.log]
        for _ in range(_TRIES):
            last, trimmed, rows, marks, more = await _BOOKS.run(self._redis, keys, self._entries_at_once, *sinks)
            found = _marks(marks)
            while more and found[-1].id != (through := more.decode()):
                added = await self.marks(project, found[-1].id, through)
                if not added:
                    break
                found += added
            # Where the log was trimmed between two reads, entries may be missing from what was read.
            if not more or int(await self._redis.execute("HGET", project.use, "trimmed_seq") or 0) == int(trimmed):
                break
        return [_books(sink, project.project_id, int(last), int(trimmed), row, found) for sink, row in zip(sinks, rows, strict=True)]

    async def marks(self, project: ProjectKeys, after: str, through: str) -> list[EntryMark]:
        """The next entries of a range: after one id through another."""
        return _marks(await _MARKS.run(self._redis, [project.log], after, through, self._entries_at_once))


def _marks(raw: Sequence[bytes]) -> list[EntryMark]:
    marks: list[EntryMark] = []
    for entry_id, text in zip(raw[::2], raw[1::2], strict=True):
        seq, _, _, events = text.decode().split(" ")
        marks.append(EntryMark(entry_id.decode(), int(seq), int(events)))
    return marks


def _books(
    sink: str, project_id: str, last: int, trimmed: int, row: Sequence[Any], marks: Sequence[EntryMark]
) -> Books:
    cursor, start, delivered, filtered, dead = row
    settled = Position.parse(cursor.decode()).seq if cursor else trimmed
    # A sink that has settled nothing starts with what is there.
    begin = int(start) if start else trimmed if not cursor else 0
    waiting, oldest_ms = pending(marks, settled)
    return Books(sink, project_id, begin, last, int(delivered), int(filtered), int(dead), waiting, oldest_ms)
