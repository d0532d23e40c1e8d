"""What Redis counts of one project, as of one moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headgate_service.delivery.position import Position, oldest

HOUR_MS = 3_600_000
# An hour is over when so many whole ones have followed it: nothing is counted in it any more, whose clock ever is late.
HOURS_OPEN = 3

_CURSOR, _START = "c:", "start:"
# Those of a replay end with the log that it reads.
_REPLAY = "replay."


@dataclass(frozen=True, slots=True)
class Counted:
    """A project's counters at `ms`. `months` are by 202611 and the like, `hours` by hour since 1970 and outcome;
    `sinks` are the fields that say how far each sink is."""

    project_id: str
    shard: int
    ms: int
    seq: int
    payload_bytes: int
    trimmed_seq: int
    trimmed_bytes: int
    months: Mapping[int, int]
    hours: Mapping[tuple[int, str], int]
    sinks: Mapping[str, str]

    @classmethod
    def of(cls, project_id: str, shard: int, ms: int, use: Sequence[bytes], cursors: Sequence[bytes]) -> "Counted":
        """From the fields and values of P:use and P:cur."""
        fields = _fields(use)
        months: dict[int, int] = {}
        hours: dict[tuple[int, str], int] = {}
        for name, value in fields.items():
            if name.startswith("h:"):
                _, hour, outcome = name.split(":", 2)
                hours[int(hour), outcome] = int(value)
            elif name[0] == "m" and name[1:].isdigit():
                months[int(name[1:])] = int(value)
        return cls(
            project_id,
            shard,
            ms,
            seq=int(fields.get("seq", 0)),
            payload_bytes=int(fields.get("bytes", 0)),
            trimmed_seq=int(fields.get("trimmed_seq", 0)),
            trimmed_bytes=int(fields.get("trimmed_bytes", 0)),
            months=months,
            hours=hours,
            sinks={name: value for name, value in _fields(cursors).items() if not _of_replay(name)},
        )

    def over(self) -> dict[str, int]:
        """The fields of P:use that nothing is added to any more: old hours and months."""
        hour, month = self.ms // HOUR_MS - HOURS_OPEN, _month_before(self.ms)
        old = {f"h:{one}:{outcome}": events for (one, outcome), events in self.hours.items() if one <= hour}
        return old | {f"m{one}": events for one, events in self.months.items() if one < month}

    def due_ms(self) -> int:
        """When its next hour is over; 0 where it has none."""
        hour = self.ms // HOUR_MS - HOURS_OPEN
        still_open = [one for one, _ in self.hours if one > hour]
        return (min(still_open) + HOURS_OPEN) * HOUR_MS if still_open else 0

    def places(self, sinks: Iterable[str]) -> list[tuple[str, int, int]]:
        """How far each sink is, of those that have settled something and of those named: (name, accepted events
        through its cursor, accepted events before its books start)."""
        settled = {name.removeprefix(_CURSOR) for name in self.sinks if name.startswith(_CURSOR)}
        found = []
        for sink in sorted(settled.union(sinks)):
            cursor = self.sinks.get(_CURSOR + sink)
            place = Position.parse(cursor) if cursor else oldest(self.trimmed_seq, self.trimmed_bytes)
            start = self.sinks.get(_START + sink, 0 if cursor else self.trimmed_seq)
            found.append((sink, place.seq, int(start)))
        return found


def open_since(ms: int) -> tuple[int, int]:
    """The oldest month and the oldest hour that may still be counted in."""
    return _month_before(ms), ms // HOUR_MS - HOURS_OPEN + 1


def _month_before(ms: int) -> int:
    first = datetime.fromtimestamp(ms / 1000, UTC).replace(day=1)
    return int(f"{first - timedelta(days=1):%Y%m}")


def _fields(raw: Sequence[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}


def _of_replay(field: str) -> bool:
    return field.partition(":")[2].startswith(_REPLAY)
