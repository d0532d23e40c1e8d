"""One sink's books in one project, and whether they balance."""

from collections.abc import Sequence
from dataclasses import dataclass


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
