"""Statements that group events by the value of a key, by time bucket, by both or by neither, and their rows.

Every statement gives the whole beside its parts: metrics that do not add are aggregated from the events for each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_service.query.filter import AllOf
from headgate_service.query.filter_sql import NO_GROUP, Reading, predicate
from headgate_service.query.metric import Metric
from headgate_service.query.metric_sql import Measure, Number, measure
from headgate_service.query.query import Breakdown, Query
from headgate_service.query.sql import Assumptions, Binder
from headgate_service.query.time import Period


@dataclass(frozen=True, slots=True)
class Scope:
    """The events of one project in a table, as a query narrows them."""

    table: str
    project_id: str
    query: Query

    def source(self, binder: Binder, period: Period) -> str:
        """`FROM` and `WHERE`."""
        parts = self.common(binder, period)
        if self.query.event is not None:
            parts.insert(1, f"event = {binder.text(self.query.event)}")
        return f"FROM {self.table} WHERE {' AND '.join(parts)}"

    def common(self, binder: Binder, period: Period) -> list[str]:
        """The conditions that hold for every type of query."""
        parts = [
            f"project_id = {binder.text(self.project_id)}",
            f"ts >= {moment(period.start, binder)}",
            f"ts < {moment(period.end, binder)}",
        ]
        if not self.query.include_test:
            parts.append("NOT test")
        if self.query.condition != AllOf(()):
            parts.append(predicate(self.query.condition, binder))
        return parts


def moment(ms: int, binder: Binder) -> str:
    return f"fromUnixTimestamp64Milli({binder.whole(ms)}, 'UTC')"


OTHER = "o"
"""Stands for every group but those that a statement names. No group has this name."""

# Of groups of equal value: false, true, numbers, texts; each in its order.
KEY_ORDER = "substring(label, 1, 1), if(startsWith(label, 'n'), toFloat64OrZero(substring(label, 2)), 0), label"


@dataclass(frozen=True, slots=True)
class Row:
    """`label` and `bucket` are None in the row of all of them. `least` and `most` are its events' weights; `mixed` is
    whether their keys have values that are not texts."""

    label: str | None
    bucket: int | None
    least: float | None
    most: float | None
    mixed: bool
    value: Number | None


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    binder: Binder
    measure: Measure

    def rows(self, rows: Iterable[Sequence[Any]]) -> list[Row]:
        return [self._row([number(cell) for cell in row[2:]], row[0], row[1]) for row in rows]

    def _row(self, cells: list[Number | None], label: str | None, bucket: str | None) -> Row:
        start = None if bucket is None else int(bucket)
        return Row(label, start, cells[0], cells[1], bool(cells[2]), self.measure.value(cells[3:]))


@dataclass(frozen=True, slots=True)
class Grouping:
    """Makes the statements of one query."""

    scope: Scope
    metric: Metric
    assumed: Assumptions

    def whole(self, period: Period) -> Statement:
        """One row: all events of the period."""
        return self._statement(period, Binder(), "", "", None)

    def buckets(self, period: Period, starts: Sequence[int]) -> Statement:
        """A row for each bucket that has events, and one of all."""
        binder = Binder()
        return self._statement(period, binder, "", _bucket(starts, period.end, binder), None)

    def largest(self, period: Period, breakdown: Breakdown) -> Statement:
        """The largest groups, one more than the limit so that it shows whether there are others; the events without
        the key; all events."""
        binder = Binder()
        label = self._group(breakdown, binder)
        return self._statement(period, binder, label, "", breakdown.limit + 1)

    def named(self, period: Period, breakdown: Breakdown, names: Sequence[str], starts: Sequence[int]) -> Statement:
        """The groups of these names, OTHER, and the events without the key, each by bucket where there are `starts`."""
        binder = Binder()
        group = self._group(breakdown, binder)
        label = f"if(has({binder.texts([NO_GROUP, *names])}, {group} AS group_name), group_name, '{OTHER}')"
        return self._statement(period, binder, label, _bucket(starts, period.end, binder) if starts else "", None)

    def _group(self, breakdown: Breakdown, binder: Binder) -> str:
        return Reading(breakdown.key, binder).group(texts_only=self.assumed.texts_only)

    def _mixed(self, binder: Binder) -> str:
        breakdown, metric = self.scope.query.breakdown, self.metric
        keys = [breakdown.key] if breakdown else []
        keys += [metric.key] if metric.key and metric.name == "count_distinct" else []
        if not keys or not self.assumed.texts_only:
            return "0"
        return f"max({' OR '.join(Reading(key, binder).no_text() for key in keys)})"

    def _statement(self, period: Period, binder: Binder, label: str, bucket: str, groups: int | None) -> Statement:
        measured = measure(self.metric, binder, self.assumed)
        dimensions = {name: sql for name, sql in (("label", label), ("bucket", bucket)) if sql}
        values = [f"{sql} AS v{index}" for index, sql in enumerate(measured.columns)]
        inner = [
            *(f"{sql} AS {name}, grouping({name}) AS all_{name}s" for name, sql in dimensions.items()),
            f"min(weight) AS least, max(weight) AS most, {self._mixed(binder)} AS mixed",
            *values,
        ]
        outer = [
            *(
                f"if(all_{name}s = 1, NULL, toString({name}))" if name in dimensions else "NULL"
                for name in ("label", "bucket")
            ),
            "toString(least), toString(most), toString(mixed)",
            *(f"toString(v{index})" for index in range(len(values))),
        ]
        by = f" GROUP BY {', '.join(dimensions)} WITH ROLLUP" if dimensions else ""
        sql = f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} {self.scope.source(binder, period)}{by})"
        if groups is not None:
            # Before the groups come the two rows that are none.
            ranks = ", ".join(f"{rank} DESC NULLS LAST" for rank in measured.order)
            sql += f" ORDER BY all_labels DESC, label = '' DESC, {ranks}, {KEY_ORDER} LIMIT {groups + 2}"
        return Statement(sql, binder, measured)


def _bucket(starts: Sequence[int], end: int, binder: Binder) -> str:
    """The start of an event's bucket. Mostly all take the same time, and dividing is quicker than searching: where the
    last one does too, up to the `end` of the period, and is not a longer month or a day of 25 hours."""
    at = "toUnixTimestamp64Milli(ts)"
    first, step = starts[0], starts[1] - starts[0] if len(starts) > 1 else 0
    if step and starts == tuple(range(first, starts[-1] + 1, step)) and end <= starts[-1] + step:
        start, length = binder.whole(first), binder.whole(step)
        return f"intDiv({at} - {start}, {length}) * {length} + {start}"
    return f"roundDown({at}, {binder.wholes(starts)})"


def number(cell: str | None) -> Number | None:
    """A number as the engine writes it; None for NULL. It may be infinite, or not a number."""
    if cell is None:
        return None
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def key_of(name: str) -> str | int | float | bool | None:
    """None for the events without the key."""
    if not name:
        return None
    kind, text = name[0], name[1:]
    if kind == "b":
        return text == "1"
    return number(text) if kind == "n" else text


def named(name: str | None) -> dict[str, Any]:
    """The first fields of a group's answer."""
    return {"key": "$other", "isOther": True} if name == OTHER else {"key": key_of(name or "")}
