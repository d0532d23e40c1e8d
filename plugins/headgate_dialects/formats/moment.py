"""Points in time as clients write them, kept to the nanosecond."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

# 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: all that a protobuf Timestamp can say.
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_ABOVE = 100_000_000_000

# "0" stands for no zone at all.
_UTC = frozenset({"Z", "z", "0"})

_DATE = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
# JavaScript writes years in six digits too; no Timestamp can say those that need them.
_DATE_OF_JAVASCRIPT = r"(?:\+00)?([0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?)"
_FIRST_DAY = "-01-01"
_ISO_8601 = re.compile(
    _DATE_OF_JAVASCRIPT
    + r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_BROWSERS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_RFC_3339 = re.compile(_DATE + r"[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})")

# Seconds since 1970 of minutes that were read before, such as `2026-11-20T08:15:`: events are mostly of the last ones.
_MINUTES: dict[str, int] = {}
_MINUTES_KEPT = 4096
_SECONDS = {f"{second:02}.": second for second in range(60)}
_NANOS = {f"{milliseconds:03}Z": milliseconds * 1_000_000 for milliseconds in range(1000)}


class Moment(NamedTuple):
    """Seconds since 1970 in UTC, and nanoseconds (0 to 999,999,999) on top of them."""

    seconds: int
    nanos: int

    @property
    def storable(self) -> bool:
        """Whether it lies in the years 1 to 9999 of UTC, all that a Timestamp can say."""
        return _EARLIEST <= self.seconds <= _LATEST

    def write(self, timestamp: Timestamp) -> None:
        timestamp.seconds = self.seconds
        timestamp.nanos = self.nanos


# What Moment itself calls, in half the time.
_new = tuple.__new__


def iso8601(text: str) -> Moment | None:
    """An ISO 8601 calendar date or date-time in the extended format, as JavaScript reads it; None where `text` is none.

    `YYYY-MM-DD`, or `YYYY-MM` or `YYYY` for their first day, the year in four digits or six; or with `T` or a space
    and `HH:MM[:SS[.fraction]]`, and `Z`, `+hh`, `+hhmm`, `+hh:mm` or no zone (UTC). 24:00 is the end of its day. Week
    dates, ordinal dates and the format without hyphens are not read.
    """
    moment = as_browsers_write(text)
    if moment is not None:
        return moment
    match = _ISO_8601.fullmatch(text)
    return None if match is None else _moment(match, last_midnight=True)


def rfc3339(text: str) -> Moment | None:
    """An RFC 3339 date-time; None where `text` is none. It need not be storable: the offset may leave the years."""
    moment = as_browsers_write(text)
    if moment is not None:
        return moment
    match = _RFC_3339.fullmatch(text)
    return None if match is None else _moment(match, last_midnight=False)


def unix(number: float) -> Moment:
    """A Unix time in seconds or, where it is further from 1970 than 1e11, in milliseconds.

    A fraction is taken as the decimal that was written, not as its nearest double.
    """
    exact = Decimal(repr(number))
    if abs(exact) > _MILLISECONDS_ABOVE:
        exact = exact.scaleb(-3)
    seconds = exact.to_integral_value("ROUND_FLOOR")
    return Moment(int(seconds), int((exact - seconds).scaleb(9)))


def as_browsers_write(text: str) -> Moment | None:
    """`2026-11-20T08:15:00.123Z`, which nearly every client sends, in a sixth of the time; None for what is not it, or
    is a moment that only the full rules know, such as a leap second. It is always storable."""
    minute, second, nanos = _MINUTES.get(text[:17]), _SECONDS.get(text[17:20]), _NANOS.get(text[20:])
    if minute is not None and second is not None and nanos is not None:
        return _new(Moment, (minute + second, nanos))
    # datetime takes more than this, and in odd places.
    if _BROWSERS.fullmatch(text) is None:
        return None
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    if len(_MINUTES) >= _MINUTES_KEPT:
        _MINUTES.clear()
    seconds = since.days * 86_400 + since.seconds
    _MINUTES[text[:17]] = seconds - seconds % 60
    return Moment(seconds, since.microseconds * 1000)


def _moment(match: re.Match[str], *, last_midnight: bool) -> Moment | None:
    day, hour, minute, second, fraction, zone = match.groups("0")
    days = _days(day + _FIRST_DAY[len(day) - 4 :])
    if days is None:
        return None
    hours, minutes, seconds = int(hour), int(minute), int(second)
    nanos = int(fraction[:9].ljust(9, "0")) if fraction != "0" else 0
    if hours > 23 and not (last_midnight and hours == 24 and minutes == seconds == nanos == 0):
        return None
    offset = 0 if zone in _UTC else _offset_minutes(zone)
    if minutes > 59 or seconds > 60 or offset is None:
        return None
    total = days * 86_400 + hours * 3_600 + minutes * 60 + seconds - offset * 60
    # A leap second stands at the end of a UTC day and nowhere else; Unix time gives it the second that follows.
    if seconds == 60 and total % 86_400:
        return None
    return Moment(total, nanos)


# Clients send the events of a few days.
@lru_cache(maxsize=64)
def _days(day: str) -> int | None:
    """Days since 1970; None for a day that does not exist."""
    try:
        return date.fromisoformat(day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def _offset_minutes(zone: str) -> int | None:
    hours, minutes = int(zone[1:3]), int(zone[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
