"""Who comes back: users by when they first did something, and how many did something again in the periods after."""

from dataclasses import dataclass

from headgate_service.errors import QueryOverLimit
from headgate_service.query.funnel import CountBy, parse_count_by
from headgate_service.query.request_fields import Faults, Fields, integer, one_of
from headgate_service.query.time import Clock, Interval, Period, bucket_starts, default_interval, following_starts

DEFAULT_PERIODS, MAX_PERIODS = 7, 52
RETENTION_INTERVALS: tuple[Interval, ...] = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Retention:
    """`return_event` None: any. `cohorts` are the starts of the cohorts' periods, in milliseconds, and `starts` those
    with the periods after the last one, and the end of them all."""

    return_event: str | None
    interval: Interval
    periods: int
    cohorts: tuple[int, ...]
    starts: tuple[int, ...]
    count_by: CountBy = "user"

    @property
    def end(self) -> int:
        """When the last period of the last cohort is over."""
        return self.starts[-1]


def parse_retention(fields: Fields, period: Period, clock: Clock) -> Retention:
    """Raises QueryInvalid and QueryOverLimit."""
    faults = Faults()
    periods = DEFAULT_PERIODS
    with faults:
        back = fields.text("returnEvent" if fields.has("returnEvent") else "event")
    with faults:
        interval = default_interval(period)
        interval = "day" if interval not in RETENTION_INTERVALS else interval
        if fields.has("interval"):
            interval = one_of(fields.optional("interval"), "interval", RETENTION_INTERVALS)
    with faults:
        if fields.has("periods"):
            periods = integer(fields.optional("periods"), "periods", 1, MAX_PERIODS)
    with faults:
        count_by = parse_count_by(fields)
    faults.tell()
    cohorts = bucket_starts(period, interval, clock)
    starts = cohorts + following_starts(cohorts[-1], interval, clock, periods + 1)
    return Retention(None if back == "*" else back, interval, periods, cohorts, starts, count_by)


def check_retention_points(retention: Retention, series: int, most: int) -> None:
    """Raises QueryOverLimit where `series` answers could hold more than `most` numbers."""
    points = len(retention.cohorts) * (retention.periods + 1) * series
    if points > most:
        raise QueryOverLimit(
            "too_many_points",
            f"the answer could hold {points} points, more than {most}; choose a longer interval, fewer periods or a"
            " smaller breakdown.limit",
            "interval",
        )
