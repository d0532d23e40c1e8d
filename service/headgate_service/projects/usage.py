"""What was sent to a project: events by month against its limit, and its ledger by hour or day."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from headgate_service.counters.saved import SavedCounters
from headgate_service.directory.project import Project
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline

_MONTH = re.compile(r"m(\d{4})(\d{2})")
_HOUR = re.compile(r"h:(\d+):(accepted|duplicate|dropped|refused)(?::(.+))?")


@dataclass(slots=True)
class Counts:
    """What became of events: received = accepted + duplicate + dropped + refused, the last two by reason."""

    accepted: int = 0
    duplicate: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def received(self) -> int:
        return self.accepted + self.duplicate + sum(self.dropped.values()) + sum(self.refused.values())

    def count(self, what: str, reason: str, events: int) -> None:
        """Adds events of a kind of the ledger; `reason` is empty for accepted and duplicate ones."""
        match what:
            case "accepted":
                self.accepted += events
            case "duplicate":
                self.duplicate += events
            case "dropped":
                self.dropped[reason] = self.dropped.get(reason, 0) + events
            case "refused":
                self.refused[reason] = self.refused.get(reason, 0) + events

    def add(self, other: "Counts") -> None:
        self.count("accepted", "", other.accepted)
        self.count("duplicate", "", other.duplicate)
        for reason, events in other.dropped.items():
            self.count("dropped", reason, events)
        for reason, events in other.refused.items():
            self.count("refused", reason, events)


@dataclass(frozen=True, slots=True)
class Usage:
    """Stored events by month ("2026-11"), and the ledger by hours since 1970."""

    months: Mapping[str, int]
    hours: Mapping[int, Counts]


def usage_of(fields: Mapping[str, int]) -> Usage:
    """What a project's counters say; fields that are none of the ledger are passed over."""
    months: dict[str, int] = {}
    hours: dict[int, Counts] = defaultdict(Counts)
    for name, events in fields.items():
        if month := _MONTH.fullmatch(name):
            months[f"{month[1]}-{month[2]}"] = events
        elif hour := _HOUR.fullmatch(name):
            hours[int(hour[1])].count(hour[2], hour[3] or "", events)
    return Usage(months, dict(hours))


def by_hour(hours: Mapping[int, Counts]) -> list[tuple[datetime, Counts]]:
    """The ledger's rows, the oldest first, with when they begin."""
    return _rows(hours, _begin)


def by_day(hours: Mapping[int, Counts], zone: tzinfo) -> list[tuple[datetime, Counts]]:
    """The same by the days of a time zone; an hour belongs to the day in which it begins."""
    return _rows(hours, lambda hour: _begin(hour).astimezone(zone).replace(hour=0, minute=0, second=0, fold=0))


class Usages:
    """Reads usage: what is counted now is in Redis, and what was in the control DB.

    Raises RedisUnavailable, ResponseError, ControlDbUnavailable.
    """

    def __init__(self, redis: RedisPipeline, saved: SavedCounters) -> None:
        self._redis = redis
        self._saved = saved

    async def of(self, project: Project) -> Usage:
        # Redis first: what moves between the two reads is in the second.
        raw = await self._redis.execute("HGETALL", shard_keys(project.shard).project(project.id).use)
        fields = await self._saved.fields(project.id)
        for name, value in zip(raw[::2], raw[1::2], strict=True):
            fields[name.decode()] = max(int(value), fields.get(name.decode(), 0))
        return usage_of(fields)


def _begin(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def _rows(hours: Mapping[int, Counts], begin: Callable[[int], datetime]) -> list[tuple[datetime, Counts]]:
    rows: dict[datetime, Counts] = defaultdict(Counts)
    for hour, counts in sorted(hours.items()):
        rows[begin(hour)].add(counts)
    return list(rows.items())
