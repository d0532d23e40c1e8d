"""The stretch of time that a query is about, and the one it is compared with."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from headgate_service.query.fields import Fields
from headgate_service.query.moment import Clock
from headgate_service.query.refusal import QueryOverLimit, invalid

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
    start_path, end_path = fields.path("start"), fields.path("end")
    start = clock.moment(fields.required("start"), start_path).ms
    written = fields.required("end")
    last = clock.day(written, end_path)
    end = clock.moment(written, end_path).ms if last is None else clock.starts(last + timedelta(days=1))
    if last is None and _LAST_MILLISECOND.fullmatch(written):
        # What dashboards write for the end of a day or an hour: it means all of that second.
        end = end // _SECOND * _SECOND + _SECOND
    if start >= end:
        raise invalid(end_path, "must be after the start")
    if end > clock.instant(_years_later(clock.local(start).replace(tzinfo=None), MAX_YEARS)):
        raise QueryOverLimit("range_too_long", f"{end_path}: a range is at most {MAX_YEARS} years", end_path)
    return Period(start, end)


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
    return Period(clock.starts(before), period.start)


def _starts_day(ms: int, clock: Clock) -> bool:
    return clock.starts(clock.local(ms).date()) == ms


def _years_later(local: datetime, years: int) -> datetime:
    try:
        return local.replace(year=local.year + years)
    except ValueError:
        # The 29th of February.
        return local.replace(year=local.year + years, day=28)
