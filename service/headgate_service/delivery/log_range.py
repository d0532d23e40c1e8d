"""Events of one project that follow one another, as a part of a batch."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from headgate.v1 import event_pb2, log_pb2

from headgate_service.log.position import Position


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an entry ends: the project's events and payload bytes through it."""

    entry: str
    seq: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LogRange:
    """The project's events right after `start` through the ordinal `last`, of which the sink gets `events`.

    `marks` are those of the entries that hold them, in order. `ordinals` are those of `events`. What lies between them
    is filtered, or, where `counted`, was counted when another batch was settled. `route_errors`: about how many events
    the sink's route could not tell.
    """

    project_id: str
    start: Position
    marks: Sequence[Mark]
    events: Sequence[event_pb2.Event]
    ordinals: Sequence[int]
    last: int
    counted: bool = False
    route_errors: int = 0

    @classmethod
    def whole(
        cls, project_id: str, start: Position, marks: Sequence[Mark], events: Sequence[event_pb2.Event]
    ) -> "LogRange":
        """All events right after `start`."""
        last = start.seq + len(events)
        return cls(project_id, start, marks, events, range(start.seq + 1, last + 1), last)

    @property
    def end(self) -> Position:
        return self.position(self.last)

    @property
    def filtered(self) -> Sequence[int]:
        """The ordinals of those that the sink is not to get, unless they were counted before."""
        if self.counted or len(self.ordinals) == self.last - self.start.seq:
            return ()
        selected = set(self.ordinals)
        return [ordinal for ordinal in range(self.start.seq + 1, self.last + 1) if ordinal not in selected]

    @property
    def done(self) -> int:
        """How many of its events are counted already."""
        return self.last - self.start.seq - len(self.ordinals) if self.counted else 0

    def position(self, seq: int) -> Position:
        """The position at which the project's events through `seq`, which is in this portion, are done."""
        entry, size = self.start.entry, self.start.bytes
        for mark in self.marks:
            if mark.seq > seq:
                break
            entry, size = mark.entry, mark.bytes
        return Position(entry, seq, size)

    def divided(self, count: int) -> "tuple[LogRange, LogRange]":
        """Its first `count` events and the rest; neither is empty where 0 < count < len(events)."""
        return self.through(self.ordinals[count - 1]), self.after(self.ordinals[count - 1])

    def through(self, seq: int) -> "LogRange":
        """What there is of it through an ordinal in it."""
        marks = [mark for mark in self.marks if mark.seq <= seq]
        if (marks[-1].seq if marks else self.start.seq) < seq:
            marks.append(self.marks[len(marks)])
        count = bisect_right(self.ordinals, seq)
        return replace(self, marks=marks, events=self.events[:count], ordinals=self.ordinals[:count], last=seq)

    def after(self, seq: int) -> "LogRange":
        """What there is of it after an ordinal in it."""
        count = bisect_right(self.ordinals, seq)
        return replace(
            self,
            start=self.position(seq),
            marks=[mark for mark in self.marks if mark.seq > seq],
            events=self.events[count:],
            ordinals=self.ordinals[count:],
            route_errors=0,
        )

    def only(self, places: Sequence[int]) -> "LogRange":
        """It with only the events at these places, where all others have been counted; from the first of them on."""
        rest = self.after(self.ordinals[places[0]] - 1)
        events, ordinals = [self.events[one] for one in places], [self.ordinals[one] for one in places]
        return replace(rest, events=events, ordinals=ordinals, counted=True, route_errors=0)

    def sealed(self) -> log_pb2.SealedRange:
        last, count = self.marks[-1], self.last - self.start.seq
        return log_pb2.SealedRange(
            project_id=self.project_id,
            after_entry=self.start.entry,
            last_entry=last.entry,
            after_seq=self.start.seq,
            last_seq=self.last,
            bytes=last.bytes - self.start.bytes,
            last_bytes=last.bytes,
            selection=b"" if len(self.ordinals) == count else _bits(self.ordinals, self.start.seq, count),
            counted=self.done,
            route_errors=self.route_errors,
        )


def start_of(sealed: log_pb2.SealedRange) -> Position:
    return Position(sealed.after_entry, sealed.after_seq, sealed.last_bytes - sealed.bytes)


def selected_in(sealed: log_pb2.SealedRange) -> Sequence[int]:
    """The ordinals of the events that the sink is to get."""
    whole = range(sealed.after_seq + 1, sealed.last_seq + 1)
    if not sealed.selection:
        return whole
    bits = bytes(sealed.selection)
    return [ordinal for place, ordinal in enumerate(whole) if bits[place >> 3] >> (place & 7) & 1]


def as_sealed(log_range: LogRange, sealed: log_pb2.SealedRange) -> LogRange:
    """The portion that was sealed, out of all the events of its range, of which some may be missing at its end."""
    selected = [one for one in selected_in(sealed) if one <= log_range.last]
    return replace(
        log_range,
        events=[log_range.events[ordinal - log_range.start.seq - 1] for ordinal in selected],
        ordinals=selected,
        counted=sealed.counted > 0,
        route_errors=sealed.route_errors,
    )


def events_of(log_ranges: Sequence[LogRange]) -> Sequence[event_pb2.Event]:
    if len(log_ranges) == 1:
        return log_ranges[0].events
    return [event for log_range in log_ranges for event in log_range.events]


def halves(log_ranges: Sequence[LogRange]) -> tuple[list[LogRange], list[LogRange]]:
    """Two batches out of one of at least two events, in order."""
    left = sum(len(log_range.events) for log_range in log_ranges) // 2
    first: list[LogRange] = []
    for index, log_range in enumerate(log_ranges):
        count = len(log_range.events)
        if count > left:
            if left == 0:
                return first, list(log_ranges[index:])
            head, tail = log_range.divided(left)
            return [*first, head], [tail, *log_ranges[index + 1 :]]
        first.append(log_range)
        left -= count
    raise ValueError("nothing to halve")


def without(log_ranges: Sequence[LogRange], expired: dict[str, Position]) -> list[LogRange]:
    """What remains of a batch when each project's events through its position in `expired` are given up."""
    remaining: list[LogRange] = []
    for log_range in log_ranges:
        limit = expired.get(log_range.project_id)
        if limit is None or limit.seq <= log_range.start.seq:
            remaining.append(log_range)
        elif limit.seq < log_range.last:
            remaining.append(log_range.after(limit.seq))
    return remaining


def _bits(ordinals: Iterable[int], before: int, count: int) -> bytes:
    bits = bytearray((count + 7) // 8)
    for ordinal in ordinals:
        place = ordinal - before - 1
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)
