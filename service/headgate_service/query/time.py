"""Points in time as a query names them, and the clock of its time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headgate_service.errors import QueryOverLimit, invalid
from headgate_service.query.request_fields import Faults, Fields

# What the store's times can tell, less a margin for zones and for comparison periods.
_FIRST_YEAR, _LAST_YEAR = 1910, 2289
_MAX_ZONE = 100
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
        if not isinstance(name, str) or len(name) > _MAX_ZONE or not known_zone(name):
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


MAX_YEARS = 5
_SECOND = 1000
_LAST_MILLISECOND = re.compile(r".*:59\.9{3,9}(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?")

Comparison = Literal["previous_period", "previous_year"]
COMPARISONS: tuple[Comparison, ...] = ("previous_period", "previous_year")


@dataclass(frozen=True, slots=True)
class Period:
    """Milliseconds since 1970: from `start`, before `end`."""

    start: int
    end: int


def parse_period(fields: Fields, clock: Clock) -> Period:
    """`start` and `end`: dates, both days inclusive, or date-times. Raises QueryInvalid and QueryOverLimit."""
    end_path, faults = fields.path("end"), Faults()
    with faults:
        start = clock.moment(fields.required("start"), fields.path("start")).ms
    with faults:
        end = _end(fields.required("end"), end_path, clock)
    faults.tell()
    if start >= end:
        raise invalid(end_path, "must be after the start")
    if end > clock.instant(_years_later(clock.local(start).replace(tzinfo=None), MAX_YEARS)):
        raise QueryOverLimit("range_too_long", f"a range is at most {MAX_YEARS} years", end_path)
    return Period(start, end)


def _end(written: Any, path: str, clock: Clock) -> int:
    last = clock.day(written, path)
    if last is not None:
        return clock.starts(last + timedelta(days=1))
    end = clock.moment(written, path).ms
    if _LAST_MILLISECOND.fullmatch(written):
        # What dashboards write for the end of a day or an hour: it means all of that second.
        end = end // _SECOND * _SECOND + _SECOND
    return end


def earlier(period: Period, comparison: Comparison, clock: Clock, *, by_months: bool) -> Period:
    """The period before, or the same a year before.

    A period of whole local days is moved by as many local days, of whole months, where `by_months`, by as many months,
    any other by the time it takes.
    """
    start, end = (clock.local(ms).replace(tzinfo=None) for ms in (period.start, period.end))
    if comparison == "previous_year":
        first, last = (clock.instant(_years_later(local, -1)) for local in (start, end))
        # Up to the 29th of February there may be nothing left: it lasts as long as this one, then.
        return Period(first, last if last > first else first + period.end - period.start)
    if not (_starts_day(period.start, clock) and _starts_day(period.end, clock)):
        return Period(2 * period.start - period.end, period.start)
    if by_months and start.day == end.day == 1:
        months = (end.year - start.year) * 12 + end.month - start.month
        count = start.year * 12 + start.month - 1 - months
        before = start.date().replace(year=count // 12, month=count % 12 + 1)
    else:
        before = start.date() - (end.date() - start.date())
        # A day that the zone skipped is not a period.
        while clock.starts(before) == period.start:
            before -= timedelta(days=1)
    return Period(clock.starts(before), period.start)


def _starts_day(ms: int, clock: Clock) -> bool:
    return clock.starts(clock.local(ms).date()) == ms


def _years_later(local: datetime, years: int) -> datetime:
    try:
        return local.replace(year=local.year + years)
    except ValueError:
        # The 29th of February.
        return local.replace(year=local.year + years, day=28)


Interval = Literal["minute", "hour", "day", "week", "month"]
INTERVALS: tuple[Interval, ...] = ("minute", "hour", "day", "week", "month")
MAX_BUCKETS = 1000

_DAY_MS = 24 * 3600 * 1000
_CLOCK_MS = {"minute": 60_000, "hour": 3_600_000}
_DEFAULTS: tuple[tuple[int, Interval], ...] = ((2, "hour"), (92, "day"), (366, "week"))
# The local clock's changes may make the days of a range an hour or two longer.
_CHANGES_MS = 3 * 3_600_000


def default_interval(period: Period) -> Interval:
    for days, interval in _DEFAULTS:
        if period.end - period.start <= days * _DAY_MS + _CHANGES_MS:
            return interval
    return "month"


def bucket_starts(period: Period, interval: Interval, clock: Clock) -> tuple[int, ...]:
    """The starts, in milliseconds, of every bucket that shares time with the period. The first may lie before it.

    A minute or an hour is one of the local clock: where the clock is put back the hour comes twice, where it is
    changed within an hour the hour is cut there. Days, weeks (from Monday) and months begin when the local clock first
    shows their first day. Raises QueryOverLimit.
    """
    starts: list[int] = []
    clocked = _CLOCK_MS.get(interval)
    at = _clock_start(period.start, clocked, clock) if clocked else _calendar_start(period.start, interval, clock)
    while at < period.end:
        if len(starts) == MAX_BUCKETS:
            raise QueryOverLimit(
                "too_many_buckets", f"more than {MAX_BUCKETS} buckets; choose a longer interval", "interval"
            )
        starts.append(at)
        at = _next_on_clock(at, clocked, clock) if clocked else _next_on_calendar(at, interval, clock)
    return tuple(starts)


def following_starts(start: int, interval: Interval, clock: Clock, count: int) -> tuple[int, ...]:
    """The starts of the next `count` days, weeks or months after the one that begins at `start`."""
    starts: list[int] = []
    for _ in range(count):
        start = _next_on_calendar(start, interval, clock)
        starts.append(start)
    return tuple(starts)


def bucket_of(ms: int, starts: tuple[int, ...]) -> int:
    """The last of `starts` that is not after `ms`."""
    return max(start for start in starts if start <= ms)


def _clock_start(ms: int, step: int, clock: Clock) -> int:
    start = ms - (ms + clock.offset(ms) // timedelta(milliseconds=1)) % step
    return start if clock.offset(start) == clock.offset(ms) else clock.change_between(start, ms)


def _next_on_clock(start: int, step: int, clock: Clock) -> int:
    after = start + step - (start + clock.offset(start) // timedelta(milliseconds=1)) % step
    return after if clock.offset(after) == clock.offset(start) else clock.change_between(start, after)


def _calendar_start(ms: int, interval: Interval, clock: Clock) -> int:
    day = clock.local(ms).date()
    # Where the clock goes back over midnight, the new day has begun before it seems to begin again.
    start = clock.starts(_first_day(day, interval))
    following = _next_on_calendar(start, interval, clock)
    return following if following <= ms else start


def _next_on_calendar(start: int, interval: Interval, clock: Clock) -> int:
    day = _first_day(clock.local(start).date(), interval)
    while True:
        day = _following(day, interval)
        after = clock.starts(day)
        # A day that the zone skipped begins with the next, and is none.
        if after > start:
            return after


def _first_day(day: date, interval: Interval) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def _following(day: date, interval: Interval) -> date:
    if interval == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "week" else 1)
