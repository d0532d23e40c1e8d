"""Points in time as a query names them, and the clock of its time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headgate_service.query.refusal import invalid

# What the store's times can tell, less a margin for zones and for comparison periods.
_FIRST_YEAR, _LAST_YEAR = 1910, 2289
_LONGEST_ZONE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)
_EXPECTED = "must be a date (YYYY-MM-DD) or a date-time such as 2026-02-01T00:00:00Z"


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """Milliseconds since 1970 in UTC."""

    ms: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The local time of an IANA zone."""

    name: str
    zone: ZoneInfo

    @classmethod
    def of(cls, name: object, path: str) -> "Clock":
        """Raises QueryInvalid."""
        if not isinstance(name, str) or len(name) > _LONGEST_ZONE or not known_zone(name):
            raise invalid(path, "must be a name of the IANA time zone database, such as Europe/Berlin")
        return cls(name, ZoneInfo(name))

    def local(self, ms: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=ms)).astimezone(self.zone)

    def offset(self, ms: int) -> timedelta:
        return self.local(ms).utcoffset() or timedelta(0)

    def instant(self, local: datetime) -> int:
        """The milliseconds of a naive local time: of one that comes twice the first, of one that is skipped the
        moment that would follow had the clock not been put forward yet."""
        return _ms(local.replace(tzinfo=self.zone, fold=0))

    def starts(self, day: date) -> int:
        """When the local clock first shows `day`, or a later one where the zone skipped it."""
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - it is local
        at = self.instant(midnight)
        if self.local(at).replace(tzinfo=None) == midnight:
            return at
        before = _ms(midnight.replace(tzinfo=self.zone, fold=1))
        return self.change_between(min(before, at), max(before, at))

    def change_between(self, before: int, after: int) -> int:
        """The first moment in (before, after] at which the offset is that of `after`."""
        wanted = self.offset(after)
        while after - before > 1:
            middle = (before + after) // 2
            if self.offset(middle) == wanted:
                after = middle
            else:
                before = middle
        return after

    def text(self, ms: int) -> str:
        """ISO 8601 with the offset, milliseconds only where there are some."""
        return self.local(ms).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")

    def day(self, value: object, path: str) -> date | None:
        """The date that a date-only value names; None where it is something else."""
        if not isinstance(value, str) or _DATE.fullmatch(value) is None:
            return None
        return _within(_date(value, path), path)

    def moment(self, value: object, path: str) -> Moment:
        """A date-time, in this zone where it names none, or a date: its start. Raises QueryInvalid."""
        day = self.day(value, path)
        if day is not None:
            return Moment(self.starts(day))
        match = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise invalid(path, _EXPECTED)
        written, hour, minute, second, fraction, zone = match.groups()
        day = _within(_date(written, path), path)
        try:
            local = datetime(day.year, day.month, day.day, int(hour), int(minute), int(second or 0))  # noqa: DTZ001
        except ValueError:
            raise invalid(path, "names a time of day that does not exist") from None
        part = int((fraction or "0").ljust(3, "0")[:3])
        if zone is None:
            return Moment(self.instant(local) + part)
        return Moment(_ms(local.replace(tzinfo=UTC)) - _offset_ms(zone, path) + part)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _offset_ms(zone: str, path: str) -> int:
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise invalid(path, "names an offset that does not exist")
    return (hours * 60 + minutes) * 60_000 * (-1 if zone[0] == "-" else 1)


def _date(written: str, path: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise invalid(path, "names a day that does not exist") from None


def _within(day: date, path: str) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise invalid(path, f"must be in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return day


# Queries may make names up without end.
@lru_cache(1_000)
def known_zone(name: str) -> bool:
    """Whether there is a zone of that name."""
    # A name is a path in the database of zones, which refuses those that leave it.
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name not in ("localtime", "Factory")
