"""What is to be recorded of events at a sink, in one step."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from headgate_sinks import Reject, Result

from headgate_service.delivery.log_range import LogRange
from headgate_service.log.position import Position

BACKLOG_EXPIRED = "backlog_expired"
LOG_LOST = "log_lost"


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter: fields and values in turn, and the event in protobuf where it is one event's.

    The fields: `sink`, `lo` and `hi` (its range of ordinals, lo exclusive), `code`, `message`, `attempts`, `first_ms`
    and `ms` (first attempt and end); in a summary also `events` (how many) and `bytes` (of payload).
    """

    fields: Sequence[str | int]
    event: bytes = b""


@dataclass(frozen=True, slots=True)
class ProjectSettlement:
    """One project's share: where its cursor goes and what became of events, each of which is counted once.

    `dead_ranges` are ordinals, the first of each exclusive, and `filtered` are ordinals, ascending. `route_errors` are
    how many of those filtered the sink's route could not tell.
    """

    project_id: str
    position: Position
    delivered: int = 0
    dead: int = 0
    dead_ranges: Sequence[tuple[int, int]] = ()
    letters: Sequence[DeadLetterEntry] = ()
    filtered: Sequence[int] = ()
    route_errors: int = 0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Events of one project that will not be written: those of the ordinals `dead`, which the sink was to get."""

    end: Position
    dead: Sequence[int]
    payload_bytes: int
    filtered: Sequence[int] = ()
    route_errors: int = 0

    @classmethod
    def whole(cls, start: Position, end: Position) -> "GivenUp":
        """All from one position to another."""
        return cls(end, range(start.seq + 1, end.seq + 1), end.bytes - start.bytes)


@dataclass(frozen=True, slots=True)
class Settlement:
    """`gone` are the numbers of promised batches that end with it; `replacements` are promised in their place."""

    gone: Sequence[int] = ()
    replacements: Sequence[bytes] = ()
    projects: Sequence[ProjectSettlement] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a batch was tried by now, and when first and last, in milliseconds since 1970."""

    count: int
    first_ms: int
    last_ms: int

    def fields(self) -> list[str | int]:
        return ["attempts", self.count, "first_ms", self.first_ms, "ms", self.last_ms]


def of_result(sink: str, log_ranges: Sequence[LogRange], result: Result, attempts: Attempts) -> list[ProjectSettlement]:
    """Of a batch that was written, but for what the result rejects."""
    reasons: dict[int, Reject] = {}
    for reject in result.rejected:
        for index in reject.events:
            reasons.setdefault(index, reject)
    settled: list[ProjectSettlement] = []
    first = 0
    for log_range in log_ranges:
        count = len(log_range.events)
        dead = [index - first for index in sorted(reasons) if first <= index < first + count]
        letters: list[DeadLetterEntry] = []
        for index in dead:
            reason, ordinal = reasons[first + index], log_range.ordinals[index]
            fields = [
                *("sink", sink, "lo", ordinal - 1, "hi", ordinal),
                *("code", reason.code, "message", reason.message, *attempts.fields()),
            ]
            letters.append(DeadLetterEntry(fields, log_range.events[index].SerializeToString(deterministic=True)))
        ranges = _ranges([log_range.ordinals[index] for index in dead])
        settled.append(
            ProjectSettlement(
                *(log_range.project_id, log_range.end, count - len(dead), len(dead), ranges, letters),
                *(log_range.filtered, log_range.route_errors),
            )
        )
        first += count
    return settled


def of_retry(log_ranges: Sequence[LogRange], places: Sequence[int]) -> tuple[list[ProjectSettlement], list[LogRange]]:
    """Of a batch that was written but for the events at these places, which are what remains of it."""
    settled: list[ProjectSettlement] = []
    remaining: list[LogRange] = []
    first = 0
    for log_range in log_ranges:
        count = len(log_range.events)
        kept = [place - first for place in places if first <= place < first + count]
        position = log_range.end
        if kept:
            remaining.append(log_range.only(kept))
            position = remaining[-1].start
        settled.append(
            ProjectSettlement(
                *(log_range.project_id, position, count - len(kept)),
                filtered=log_range.filtered,
                route_errors=log_range.route_errors,
            )
        )
        first += count
    return settled, remaining


def of_held_back(
    sink: str, log_ranges: Sequence[LogRange], result: Result, held: Container[str], attempts: Attempts
) -> tuple[list[ProjectSettlement], list[LogRange]]:
    """As of a result, but for what it rejects of the projects in `held`, which is what remains of the batch."""
    shares = shares_of(log_ranges, result)
    settled: list[ProjectSettlement] = []
    remaining: list[LogRange] = []
    for log_range in log_ranges:
        events, own = shares[log_range.project_id]
        places = sorted({place for reject in own.rejected for place in reject.events})
        if log_range.project_id not in held:
            settled += of_result(sink, [log_range], own, attempts)
        elif len(places) == events:
            remaining.append(log_range)
        else:
            done, rest = of_retry([log_range], places)
            settled, remaining = [*settled, *done], [*remaining, *rest]
    return settled, remaining


def shares_of(log_ranges: Sequence[LogRange], result: Result) -> dict[str, tuple[int, Result]]:
    """Of each project how many events a batch holds, and what the result says of them."""
    shares: dict[str, tuple[int, Result]] = {}
    first = 0
    for log_range in log_ranges:
        count = len(log_range.events)
        own = []
        for reject in result.rejected:
            places = tuple(place - first for place in reject.events if first <= place < first + count)
            if places:
                own.append(Reject(places, reject.code, reject.message))
        shares[log_range.project_id] = count, Result(tuple(own))
        first += count
    return shares


def given_up(
    sink: str, projects: Mapping[str, GivenUp], code: str, message: str, attempts: Attempts
) -> list[ProjectSettlement]:
    """Of events that will not be written, in summary."""
    settled: list[ProjectSettlement] = []
    for project_id, one in projects.items():
        letters: list[DeadLetterEntry] = []
        if one.dead:
            fields = [
                *("sink", sink, "lo", one.dead[0] - 1, "hi", one.dead[-1]),
                *("code", code, "message", message, *attempts.fields()),
                *("events", len(one.dead), "bytes", one.payload_bytes),
            ]
            letters.append(DeadLetterEntry(fields))
        settled.append(
            ProjectSettlement(
                *(project_id, one.end, 0, len(one.dead), _ranges(one.dead), letters),
                *(one.filtered, one.route_errors),
            )
        )
    return settled


def of_filtered(log_ranges: Sequence[LogRange]) -> list[ProjectSettlement]:
    """Of portions without an event for the sink."""
    return [
        ProjectSettlement(one.project_id, one.end, filtered=one.filtered, route_errors=one.route_errors)
        for one in log_ranges
    ]


def _ranges(ordinals: Sequence[int]) -> list[tuple[int, int]]:
    if ordinals and ordinals[-1] - ordinals[0] + 1 == len(ordinals):
        return [(ordinals[0] - 1, ordinals[-1])]
    ranges: list[tuple[int, int]] = []
    for ordinal in ordinals:
        if ranges and ranges[-1][1] == ordinal - 1:
            ranges[-1] = (ranges[-1][0], ordinal)
        else:
            ranges.append((ordinal - 1, ordinal))
    return ranges
