"""Events of one project that follow one another, as a part of a batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headgate.v1 import event_pb2, log_pb2

from headgate_service.delivery.position import Position


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an entry ends: the project's events and payload bytes through it."""

    entry: str
    seq: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Portion:
    """The events right after `start`. `marks` are those of the entries that hold them, in order."""

    project_id: str
    start: Position
    marks: Sequence[Mark]
    events: Sequence[event_pb2.Event]

    @property
    def end(self) -> Position:
        return self.position(self.start.seq + len(self.events))

    def position(self, seq: int) -> Position:
        """The position at which the project's events through `seq`, which is in this portion, are done."""
        entry, size = self.start.entry, self.start.bytes
        for mark in self.marks:
            if mark.seq > seq:
                break
            entry, size = mark.entry, mark.bytes
        return Position(entry, seq, size)

    def divided(self, count: int) -> "tuple[Portion, Portion]":
        """Its first `count` events and the rest; neither is empty where 0 < count < len(events)."""
        middle = self.position(self.start.seq + count)
        first = [mark for mark in self.marks if mark.seq <= middle.seq]
        rest = [mark for mark in self.marks if mark.seq > middle.seq]
        if (first[-1].seq if first else self.start.seq) < middle.seq:
            first.append(rest[0])
        return (
            Portion(self.project_id, self.start, first, self.events[:count]),
            Portion(self.project_id, middle, rest, self.events[count:]),
        )

    def sealed(self) -> log_pb2.SealedRange:
        last = self.marks[-1]
        return log_pb2.SealedRange(
            project_id=self.project_id,
            after_entry=self.start.entry,
            last_entry=last.entry,
            after_seq=self.start.seq,
            last_seq=self.start.seq + len(self.events),
            bytes=last.bytes - self.start.bytes,
            last_bytes=last.bytes,
        )


def start_of(sealed: log_pb2.SealedRange) -> Position:
    return Position(sealed.after_entry, sealed.after_seq, sealed.last_bytes - sealed.bytes)


def events_of(portions: Iterable[Portion]) -> list[event_pb2.Event]:
    return [event for portion in portions for event in portion.events]


def halves(portions: Sequence[Portion]) -> tuple[list[Portion], list[Portion]]:
    """Two batches out of one of at least two events, in order."""
    left = sum(len(portion.events) for portion in portions) // 2
    first: list[Portion] = []
    for index, portion in enumerate(portions):
        count = len(portion.events)
        if count > left:
            if left == 0:
                return first, list(portions[index:])
            head, tail = portion.divided(left)
            return [*first, head], [tail, *portions[index + 1 :]]
        first.append(portion)
        left -= count
    raise ValueError("nothing to halve")


def without(portions: Sequence[Portion], expired: dict[str, Position]) -> list[Portion]:
    """What remains of a batch when each project's events through its position in `expired` are given up."""
    remaining: list[Portion] = []
    for portion in portions:
        limit = expired.get(portion.project_id)
        count = 0 if limit is None else limit.seq - portion.start.seq
        if count <= 0:
            remaining.append(portion)
        elif count < len(portion.events):
            remaining.append(portion.divided(count)[1])
    return remaining
