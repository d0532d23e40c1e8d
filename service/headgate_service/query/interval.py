"""Time buckets in a zone: where each begins."""

from datetime import date, timedelta
from typing import Literal

from headgate_service.query.moment import Clock
from headgate_service.query.period import Period
from headgate_service.query.refusal import QueryOverLimit

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
                "too_many_buckets", f"interval: more than {MAX_BUCKETS} buckets; choose a longer interval", "interval"
            )
        starts.append(at)
        at = _next_on_clock(at, clocked, clock) if clocked else _next_on_calendar(at, interval, clock)
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
