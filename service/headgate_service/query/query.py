"""A query as the rest of the package knows it: typed, checked, every default filled in."""

from dataclasses import dataclass
from typing import Literal

from headgate_service.errors import QueryInvalid, QueryOverLimit, invalid
from headgate_service.query.filter import Condition, Key, Kind, check_size, parse_condition, parse_key
from headgate_service.query.funnel import Funnel, parse_funnel
from headgate_service.query.metric import COUNT, Metric, parse_metric
from headgate_service.query.paths import Paths, parse_paths
from headgate_service.query.request_fields import Faults, Fields, integer, one_of
from headgate_service.query.retention import Retention, check_retention_points, parse_retention
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

Type = Literal["timeseries", "breakdown", "metric", "funnel", "retention", "paths"]
TYPES: tuple[Type, ...] = ("timeseries", "breakdown", "metric", "funnel", "retention", "paths")

DEFAULT_GROUPS = 10
MAX_GROUPS = 100
MAX_POINTS = 10_000

# Fields that are not for every type, by the types they are for.
_FOR: dict[str, tuple[Type, ...]] = {
    "event": ("timeseries", "breakdown", "metric", "retention"),
    "metric": ("timeseries", "breakdown", "metric"),
    "compare": ("timeseries", "breakdown", "metric", "funnel"),
    "steps": ("funnel",),
    "window": ("funnel", "paths"),
    "order": ("funnel",),
    "countBy": ("funnel", "retention", "paths"),
    "breakdown": ("timeseries", "breakdown", "funnel", "retention"),
    "start": ("paths",),
    "end": ("paths",),
    "depth": ("paths",),
    "limit": ("paths",),
    "returnEvent": ("retention",),
    "periods": ("retention",),
}


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
    retention: Retention | None = None
    paths: Paths | None = None
    include_test: bool = False
    refresh: bool = False


def project_of(request: object) -> str:
    """The project that a request is about, before anything else of it is read. Raises QueryInvalid."""
    try:
        return Fields(request).text("projectId", 200)
    except QueryInvalid:
        # No project is named, so that all else may be told.
        parse_query(request, "UTC")
        raise


def parse_query(request: object, default_zone: str) -> Query:
    """Raises QueryInvalid, naming every field that is wrong, and QueryOverLimit."""
    fields, faults = Fields(request), Faults()
    kind: Type | None = None
    period: Period | None = None
    event: str | None = None
    funnel: Funnel | None = None
    retention: Retention | None = None
    paths: Paths | None = None
    breakdown: Breakdown | None = None
    clock = Clock.of("UTC", "")
    with faults:
        fields.text("projectId", 200)
    with faults:
        kind = one_of(fields.required("type"), "type", TYPES)
    with faults:
        clock, period = _dates(fields, default_zone)
    with faults:
        event, funnel, paths = _subject(fields, kind, clock)
    with faults:
        breakdown = _breakdown(fields, kind)
    with faults:
        if kind == "retention" and period:
            retention = parse_retention(fields, period, clock)
            check_retention_points(retention, _series(breakdown), MAX_POINTS)
    with faults:
        buckets, compare, compared = _buckets(fields, kind, period, clock, breakdown)
    with faults:
        condition = parse_condition(fields.optional("filter"), "filter", clock)
        steps = funnel.steps if funnel else (paths.anchor,) if paths else ()
        check_size([condition, *(step.condition for step in steps)], "filter")
    with faults:
        metric = parse_metric(fields.optional("metric"), "metric")
    with faults:
        include_test = fields.flag("includeTest")
    with faults:
        refresh = fields.flag("refresh")
    with faults:
        fields.done(_FOR if kind is None or period is None else ())
    faults.tell()
    assert kind is not None  # noqa: S101 - its fault would have been told
    assert period is not None  # noqa: S101 - likewise
    return Query(
        kind,
        event,
        clock,
        period,
        condition,
        metric,
        breakdown,
        compare,
        compared,
        buckets,
        funnel,
        retention,
        paths,
        include_test,
        refresh,
    )


def _dates(fields: Fields, default_zone: str) -> tuple[Clock, Period]:
    dates, faults = Fields(fields.required("dateRange"), "dateRange"), Faults()
    clock = Clock.of("UTC", "")
    with faults:
        zone = dates.optional("timezone")
        clock = Clock.of(default_zone if zone is None else zone, "dateRange.timezone")
    with faults:
        period = parse_period(dates, clock)
    with faults:
        dates.done()
    faults.tell()
    return clock, period


def _subject(fields: Fields, kind: Type | None, clock: Clock) -> tuple[str | None, Funnel | None, Paths | None]:
    """The event, None for any, or the funnel, or the paths."""
    faults = Faults()
    event = funnel = paths = None
    for name, kinds in _FOR.items():
        with faults:
            if kind is not None and kind not in kinds:
                fields.refuse((name,), f"is not for the type {kind}, but for {' and '.join(kinds)}")
    with faults:
        if kind == "funnel":
            funnel = parse_funnel(fields, clock)
        elif kind == "paths":
            paths = parse_paths(fields, clock)
        elif kind is not None or fields.has("event"):
            event = fields.text("event")
    faults.tell()
    return None if event == "*" else event, funnel, paths


def _breakdown(fields: Fields, kind: Type | None) -> Breakdown | None:
    value = fields.optional("breakdown")
    if value is None:
        if kind == "breakdown":
            raise invalid("breakdown", "is required")
        return None
    if kind is not None and kind not in _FOR["breakdown"]:
        return None
    if isinstance(value, str):
        value = {"key": value}
    inner, faults = Fields(value, "breakdown"), Faults()
    groups = DEFAULT_GROUPS
    with faults:
        key = parse_key(inner.required("key"), "breakdown.key")
        if key.kind is Kind.TIME:
            raise invalid("breakdown.key", "time is divided by the interval of a timeseries")
    with faults:
        if inner.has("limit"):
            groups = integer(inner.optional("limit"), "breakdown.limit", 1, MAX_GROUPS)
    with faults:
        other = inner.flag("other") if inner.has("other") else True
    with faults:
        inner.done()
    faults.tell()
    return Breakdown(key, groups, other)


def _buckets(
    fields: Fields, kind: Type | None, period: Period | None, clock: Clock, breakdown: Breakdown | None
) -> tuple[Buckets | None, Comparison | Period | None, Period | None]:
    """The buckets of a series, with what is compared: as asked, and its period."""
    faults = Faults()
    with faults:
        interval = _interval(fields, kind, period)
    with faults:
        compare = _compare(fields, clock)
    faults.tell()
    if period is None:
        return None, compare, None
    if compare is None or isinstance(compare, Period):
        compared = compare
    else:
        compared = earlier(period, compare, clock, by_months=interval == "month")
    if interval is None:
        return None, compare, compared
    again = bucket_starts(compared, interval, clock) if compared else ()
    buckets = Buckets(interval, bucket_starts(period, interval, clock), again)
    _check_points(buckets, breakdown)
    return buckets, compare, compared


def _interval(fields: Fields, kind: Type | None, period: Period | None) -> Interval | None:
    value = fields.optional("interval")
    if kind == "retention":
        return None
    if kind not in ("timeseries", None):
        if value is not None:
            raise invalid("interval", f"is not for the type {kind}, but for timeseries and retention")
        return None
    if value is None:
        return default_interval(period) if period and kind else None
    return one_of(value, "interval", INTERVALS)


def _compare(fields: Fields, clock: Clock) -> Comparison | Period | None:
    value = fields.optional("compare")
    if value is None:
        return None
    if not isinstance(value, dict):
        return one_of(value, "compare", COMPARISONS)
    inner, faults = Fields(value, "compare"), Faults()
    with faults:
        explicit = parse_period(inner, clock)
    with faults:
        inner.done()
    faults.tell()
    return explicit


def _series(breakdown: Breakdown | None) -> int:
    """How many there may be: the group of events without the key, and that of all others, are series too."""
    return breakdown.limit + 1 + breakdown.other if breakdown else 1


def _check_points(buckets: Buckets, breakdown: Breakdown | None) -> None:
    points = (len(buckets.starts) + len(buckets.compared)) * _series(breakdown)
    if points > MAX_POINTS:
        raise QueryOverLimit(
            "too_many_points",
            f"the answer could hold {points} points, more than {MAX_POINTS}; choose a longer interval or a"
            " smaller breakdown.limit",
            "interval",
        )
