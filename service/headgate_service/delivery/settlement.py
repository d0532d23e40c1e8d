"""What is to be recorded of events at a sink, in one step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headgate_sinks import Reject, Result

from headgate_service.delivery.portion import Portion
from headgate_service.delivery.position import Position

BACKLOG_EXPIRED = "backlog_expired"
LOG_LOST = "log_lost"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: fields and values in turn, and the event in protobuf where it is one event's.

    The fields: `sink`, `lo` and `hi` (its range of ordinals, lo exclusive), `code`, `message`, `attempts`, `first_ms`
    and `ms` (first attempt and end); in a summary also `events` (how many) and `bytes` (of payload).
    """

    fields: Sequence[str | int]
    event: bytes = b""


@dataclass(frozen=True, slots=True)
class ProjectSettlement:
    """One project's share: where its cursor goes and how many events were delivered or are dead since the last one.

    `dead_ranges` are ordinals, the first of each exclusive.
    """

    project_id: str
    position: Position
    delivered: int = 0
    dead: int = 0
    dead_ranges: Sequence[tuple[int, int]] = ()
    letters: Sequence[Letter] = ()


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


def of_result(sink: str, portions: Sequence[Portion], result: Result, attempts: Attempts) -> list[ProjectSettlement]:
    """Of a batch that was written, but for what the result rejects."""
    reasons: dict[int, Reject] = {}
    for reject in result.rejected:
        for index in reject.events:
            reasons.setdefault(index, reject)
    settled: list[ProjectSettlement] = []
    first = 0
    for portion in portions:
        count = len(portion.events)
        dead = [index - first for index in sorted(reasons) if first <= index < first + count]
        letters: list[Letter] = []
        for index in dead:
            reason, ordinal = reasons[first + index], portion.start.seq + index + 1
            fields = [
                *("sink", sink, "lo", ordinal - 1, "hi", ordinal),
                *("code", reason.code, "message", reason.message, *attempts.fields()),
            ]
            letters.append(Letter(fields, portion.events[index].SerializeToString(deterministic=True)))
        ranges = _ranges([portion.start.seq + index + 1 for index in dead])
        settled.append(
            ProjectSettlement(portion.project_id, portion.end, count - len(dead), len(dead), ranges, letters)
        )
        first += count
    return settled


def given_up(
    sink: str, ends: Mapping[str, tuple[Position, Position]], code: str, message: str, attempts: Attempts
) -> list[ProjectSettlement]:
    """Of events that will not be written, in summary: per project from one position to another."""
    settled: list[ProjectSettlement] = []
    for project_id, (start, end) in ends.items():
        count = end.seq - start.seq
        fields = [
            *("sink", sink, "lo", start.seq, "hi", end.seq, "code", code, "message", message, *attempts.fields()),
            *("events", count, "bytes", end.bytes - start.bytes),
        ]
        settled.append(ProjectSettlement(project_id, end, 0, count, [(start.seq, end.seq)], [Letter(fields)]))
    return settled


def _ranges(ordinals: Sequence[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for ordinal in ordinals:
        if ranges and ranges[-1][1] == ordinal - 1:
            ranges[-1] = (ranges[-1][0], ordinal)
        else:
            ranges.append((ordinal - 1, ordinal))
    return ranges
