"""The UTC month that events count in, by the log's clock."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Month:
    """This month and the next, as the fields of P:use that count their events, and as milliseconds since 1970."""

    field: str
    next_field: str
    start: datetime
    end: datetime
    start_ms: int
    end_ms: int
    next_end_ms: int


def month_of(now: datetime) -> Month:
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = _next_month(first)
    return Month(
        f"m{first:%Y%m}",
        f"m{following:%Y%m}",
        first,
        following,
        int(first.timestamp() * 1000),
        int(following.timestamp() * 1000),
        int(_next_month(following).timestamp() * 1000),
    )


def _next_month(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
