"""A query as the rest of the package knows it: typed, checked, every default filled in."""

from dataclasses import dataclass
from typing import Literal

from headgate_service.errors import QueryOverLimit, invalid
from headgate_service.query.filter import Condition, Key, Kind, check_size, parse_condition, parse_key
from headgate_service.query.funnel import Funnel, parse_funnel
from headgate_service.query.metric import COUNT, Metric, parse_metric
from headgate_service.query.request_fields import Fields, integer, one_of
from headgate_service.query.time import (
    COMPARISONS,
    INTERVALS,
    Clock,
    Comparison,
    Interval,
    Period,
    bucket_starts,
    default_interval,
    earlier,
    parse_period,
)

Type = Literal["timeseries", "breakdown", "metric", "funnel"]
TYPES: tuple[Type, ...] = ("timeseries", "breakdown", "metric", "funnel")

DEFAULT_GROUPS = 10
MAX_GROUPS = 100
MAX_POINTS = 10_000

_OF_FUNNELS = ("steps", "window", "order", "countBy")


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The `limit` largest groups by `key`, and, where `other`, what remains as one."""

    key: Key
    limit: int = DEFAULT_GROUPS
    other: bool = True


@dataclass(frozen=True, slots=True)
class Buckets:
    """The starts of a series' buckets, in milliseconds, over the period and over the one it is compared with."""

    interval: Interval
    starts: tuple[int, ...]
    compared: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """`event` None means any. `funnel` is there for funnels only, `buckets` for timeseries only."""

    type: Type
    event: str | None
    clock: Clock
    period: Period
    condition: Condition
    metric: Metric = COUNT
    breakdown: Breakdown | None = None
    compare: Comparison | Period | None = None
    compared: Period | None = None
    buckets: Buckets | None = None
    funnel: Funnel | None = None
    include_test: bool = False
    refresh: bool = False


def project_of(request: object) -> str:
    """The project that a request is about, before anything else of it is read. Raises QueryInvalid."""
    return Fields(request).text("projectId", 200)


def parse_query(request: object, default_zone: str) -> Query:
    """Raises QueryInvalid, naming the field, and QueryOverLimit."""
    fields = Fields(request)
    kind = one_of(fields.required("type"), "type", TYPES)
    fields.text("projectId", 200)
    dates = Fields(fields.required("dateRange"), "dateRange")
    zone = dates.optional("timezone")
    clock = Clock.of(default_zone if zone is None else zone, "dateRange.timezone")
    period = parse_period(dates, clock)
    dates.done()
    funnel = event = None
    if kind == "funnel":
        fields.refuse(("event", "metric"), "a funnel counts what its steps say")
        funnel = parse_funnel(fields, clock)
    else:
        fields.refuse(_OF_FUNNELS, "is for funnels only")
        event = fields.text("event")
    breakdown = _breakdown(fields, kind)
    interval = _interval(fields, kind, period)
    compare, compared = _compare(fields, period, clock, by_months=interval == "month")
    buckets = None
    if interval is not None:
        again = bucket_starts(compared, interval, clock) if compared else ()
        buckets = Buckets(interval, bucket_starts(period, interval, clock), again)
        _check_points(buckets, breakdown)
    condition = parse_condition(fields.optional("filter"), "filter", clock)
    check_size([condition, *(step.condition for step in (funnel.steps if funnel else ()))], "filter")
    query = Query(
        kind,
        None if event == "*" else event,
        clock,
        period,
        condition,
        parse_metric(fields.optional("metric"), "metric"),
        breakdown,
        compare,
        compared,
        buckets,
        funnel,
        fields.flag("includeTest"),
        fields.flag("refresh"),
    )
    fields.done()
    return query


def _breakdown(fields: Fields, kind: Type) -> Breakdown | None:
    value = fields.optional("breakdown")
    if value is None:
        if kind == "breakdown":
            raise invalid("breakdown", "is required")
        return None
    if kind == "metric":
        raise invalid("breakdown", "a metric is one number: ask for the type breakdown")
    if isinstance(value, str):
        value = {"key": value}
    inner = Fields(value, "breakdown")
    key = parse_key(inner.required("key"), "breakdown.key")
    if key.kind is Kind.TIME:
        raise invalid("breakdown.key", "time is divided by the interval of a timeseries")
    limit = inner.optional("limit")
    other = inner.flag("other") if inner.has("other") else True
    inner.done()
    groups = DEFAULT_GROUPS if limit is None else integer(limit, "breakdown.limit", 1, MAX_GROUPS)
    return Breakdown(key, groups, other)


def _interval(fields: Fields, kind: Type, period: Period) -> Interval | None:
    value = fields.optional("interval")
    if kind != "timeseries":
        if value is not None:
            raise invalid("interval", "is for timeseries only")
        return None
    if value is None:
        return default_interval(period)
    return one_of(value, "interval", INTERVALS)


def _compare(
    fields: Fields, period: Period, clock: Clock, *, by_months: bool
) -> tuple[Comparison | Period | None, Period | None]:
    value = fields.optional("compare")
    if value is None:
        return None, None
    if isinstance(value, dict):
        inner = Fields(value, "compare")
        explicit = parse_period(inner, clock)
        inner.done()
        return explicit, explicit
    comparison = one_of(value, "compare", COMPARISONS)
    return comparison, earlier(period, comparison, clock, by_months=by_months)


def _check_points(buckets: Buckets, breakdown: Breakdown | None) -> None:
    # The group of events without the key, and that of all others, are series too.
    series = breakdown.limit + 1 + breakdown.other if breakdown else 1
    points = (len(buckets.starts) + len(buckets.compared)) * series
    if points > MAX_POINTS:
        raise QueryOverLimit(
            "too_many_points",
            f"interval: the answer could hold {points} points, more than {MAX_POINTS}; choose a longer interval or a"
            " smaller breakdown.limit",
            "interval",
        )
