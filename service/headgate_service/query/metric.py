"""What is counted or measured."""

from dataclasses import dataclass
from typing import Literal

from headgate_service.errors import invalid
from headgate_service.query.filter import Key, Kind, parse_key
from headgate_service.query.request_fields import Faults, Fields, one_of

Measure = Literal["count", "unique_users", "sessions", "events_per_user"]
Aggregate = Literal["sum", "avg", "min", "max", "median", "p75", "p90", "p95", "p99", "count_distinct"]
MEASURES: tuple[Measure, ...] = ("count", "unique_users", "sessions", "events_per_user")
AGGREGATES: tuple[Aggregate, ...] = (
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "p75",
    "p90",
    "p95",
    "p99",
    "count_distinct",
)
QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}

# Of no events these are 0; every other metric is null.
_ZERO = ("count", "unique_users", "sessions", "sum", "count_distinct")


@dataclass(frozen=True, slots=True)
class Metric:
    """`key` is read by the aggregates only. All of them but count_distinct read its numbers and pass over the rest."""

    name: str
    key: Key | None = None

    @property
    def of_nothing(self) -> int | None:
        """The value where there is no event."""
        return 0 if self.name in _ZERO else None

    @property
    def weighs_users(self) -> bool:
        return self.name in ("unique_users", "sessions", "events_per_user")


COUNT = Metric("count")


def parse_metric(value: object, path: str) -> Metric:
    """Raises QueryInvalid."""
    if value is None:
        return COUNT
    if isinstance(value, str):
        return Metric(one_of(value, path, MEASURES))
    if not isinstance(value, dict):
        raise invalid(path, f"must be one of {', '.join(MEASURES)}, or {{agg, property}}")
    fields, faults = Fields(value, path), Faults()
    with faults:
        name = one_of(fields.required("agg"), fields.path("agg"), AGGREGATES)
    with faults:
        key = parse_key(fields.required("property"), fields.path("property"))
        if key.kind is Kind.TIME:
            raise invalid(fields.path("property"), "the time of an event cannot be measured")
    with faults:
        fields.done()
    faults.tell()
    return Metric(name, key)
