"""What a query is answered: statements asked of the store, put together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headgate_service.query.filter_sql import NO_GROUP
from headgate_service.query.funnel import Funnel
from headgate_service.query.funnel_sql import FunnelStatement
from headgate_service.query.group_sql import OTHER, Grouping, Row, Scope, Statement, named, number
from headgate_service.query.limited_store import Rows
from headgate_service.query.metric_sql import Number
from headgate_service.query.paths_answer import PathsAnswer
from headgate_service.query.query import Breakdown, Query
from headgate_service.query.retention_answer import RetentionAnswer
from headgate_service.query.sql import Assumptions, Binder, OtherTypes, Weighed
from headgate_service.query.time import Period

_Steps = Sequence[Number | None]


class FunnelAnswer:
    """One run. `truncated` and `sampled` are known after `results`, which raises Contradicted."""

    def __init__(self, query: Query, scope: Scope, store: Rows, assumed: Assumptions) -> None:
        assert query.funnel is not None  # noqa: S101 - the caller looked
        self._query = query
        self._funnel: Funnel = query.funnel
        self._scope = scope
        self._store = store
        self._assumed = assumed
        self.truncated = False
        self.sampled = False

    async def results(self) -> list[dict[str, Any]]:
        query, breakdown = self._query, self._query.breakdown
        found = await self._found(query.period, None)
        groups: list[str | None] = [None]
        if breakdown:
            largest = [label for label in found if label]
            self.truncated = len(largest) > breakdown.limit
            groups = [*largest[: breakdown.limit], *([NO_GROUP] if NO_GROUP in found else [])]
            if self.truncated and breakdown.other:
                found = await self._found(query.period, largest[: breakdown.limit])
                groups.append(OTHER)
        before = None
        if query.compared:
            names = [group for group in groups if group and group != OTHER] if breakdown else None
            before = await self._found(query.compared, names)
        results = []
        for group in groups:
            result = named(group) | self._steps(found.get(group))
            if before is not None:
                result["compare"] = self._steps(before.get(group))
            results.append(result)
        return results

    async def _found(self, period: Period, names: Sequence[str] | None) -> dict[str | None, _Steps]:
        statement = FunnelStatement(self._scope, self._funnel, period, self._assumed)
        sql, binder = statement.with_groups(self._query.breakdown, names)
        rows = await self._store.query(sql, binder.parameters)
        found: dict[str | None, _Steps] = {}
        for label, least, most, mixed, *cells in rows:
            if number(mixed):
                raise OtherTypes
            self.sampled |= any(number(weight) not in (None, 0, 1) for weight in (least, most))
            found[label] = [_plain(number(cell)) for cell in cells]
        return found

    def _steps(self, cells: _Steps | None) -> dict[str, Any]:
        steps = self._funnel.steps
        counts = [(cells[index] or 0) if cells else 0 for index in range(len(steps))]
        medians = [None, *cells[len(steps) :]] if cells else [None] * len(steps)
        shown = []
        for index, step in enumerate(steps):
            before = counts[max(index - 1, 0)]
            row: dict[str, Any] = {"index": index + 1, "event": step.event}
            if step.name:
                row["name"] = step.name
            row |= {
                "count": counts[index],
                "conversion": _ratio(counts[index], counts[0]),
                "stepConversion": _ratio(counts[index], before),
                "dropoff": before - counts[index],
                "medianSeconds": medians[index] if counts[index] else None,
            }
            shown.append(row)
        return {"steps": shown, "conversion": _ratio(counts[-1], counts[0])}


def _ratio(part: Number, whole: Number) -> float | None:
    return part / whole if whole else None


def _plain(value: Number | None) -> Number | None:
    return int(value) if isinstance(value, float) and value.is_integer() else value


MAX_NOTES = 20

# Metrics whose groups are parts of a whole.
_PARTS = ("count", "unique_users", "sessions", "sum", "count_distinct")


@dataclass(frozen=True, slots=True)
class Results:
    """`truncated`: there are more groups than the limit. `sampled`: some events stand for several. `notes` say which
    values are null because they are not finite."""

    results: list[dict[str, Any]]
    truncated: bool
    sampled: bool
    notes: list[dict[str, str]]


async def answered(query: Query, scope: Scope, store: Rows) -> Results:
    """Raises what the store raises."""
    assumed = Assumptions()
    while True:
        asking: FunnelAnswer | RetentionAnswer | PathsAnswer | _Asking
        if query.funnel:
            asking = FunnelAnswer(query, scope, store, assumed)
        elif query.retention:
            asking = RetentionAnswer(query, scope, store, assumed)
        elif query.paths:
            asking = PathsAnswer(query, scope, store)
        else:
            asking = _Asking(query, scope, store, assumed)
        try:
            notes: list[dict[str, str]] = []
            results = null_infinite(await asking.results(), "results", notes)
            return Results(results, asking.truncated, asking.sampled, notes)
        except OtherTypes:
            assumed = assumed.with_all_types()
        except Weighed:
            assumed = replace(assumed, weights=await _weights(query, scope, store))


def null_infinite(value: Any, path: str, notes: list[dict[str, str]]) -> Any:
    """`value` with null in place of every number that is not finite; each is noted by its path, up to MAX_NOTES."""
    if isinstance(value, dict):
        return {name: null_infinite(item, f"{path}.{name}", notes) for name, item in value.items()}
    if isinstance(value, list):
        return [null_infinite(item, f"{path}[{index}]", notes) for index, item in enumerate(value)]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if len(notes) < MAX_NOTES:
        notes.append({"path": path, "message": "null because the result is too large for a 64-bit float"})
    return None


async def _weights(query: Query, scope: Scope, store: Rows) -> tuple[float, ...]:
    found: set[float] = set()
    for period in filter(None, (query.period, query.compared)):
        binder = Binder()
        sql = f"SELECT toString(weight) {scope.source(binder, period)} GROUP BY weight"
        found.update(float(row[0]) for row in await store.query(sql, binder.parameters))
    return tuple(sorted(found))


class _Asking:
    """One run of a query's statements, which all assume the same. Raises Contradicted where that was wrong."""

    def __init__(self, query: Query, scope: Scope, store: Rows, assumed: Assumptions) -> None:
        self._query = query
        self._store = store
        self._assumed = assumed
        self._grouping = Grouping(scope, query.metric, assumed)
        self._all: Number | None = None
        self.truncated = False
        self.sampled = False

    async def results(self) -> list[dict[str, Any]]:
        if self._query.type == "timeseries":
            return await self._timeseries()
        return await (self._breakdown() if self._query.breakdown else self._metric())

    async def _metric(self) -> list[dict[str, Any]]:
        query = self._query
        value = (await self._rows(self._grouping.whole(query.period)))[0].value
        result: dict[str, Any] = {"value": value}
        if query.compared:
            before = (await self._rows(self._grouping.whole(query.compared)))[0].value
            result["compare"] = compared(value, before)
        return [result]

    async def _timeseries(self) -> list[dict[str, Any]]:
        query, buckets = self._query, self._query.buckets
        assert buckets is not None  # noqa: S101 - so the parser made it
        groups: list[str | None] = [None]
        if query.breakdown:
            groups = [row.label for row in await self._groups(query.breakdown)]
        if not groups:
            return []
        series = await self._series(query.period, groups, buckets.starts)
        before = {}
        if query.compared:
            before = await self._series(query.compared, groups, buckets.compared)
        return [named(group) | series[group] | ({"compare": before[group]} if before else {}) for group in groups]

    async def _series(
        self, period: Period, groups: Sequence[str | None], starts: Sequence[int]
    ) -> dict[str | None, dict[str, Any]]:
        breakdown, clock = self._query.breakdown, self._query.clock
        if breakdown:
            statement = self._grouping.named(period, breakdown, _names(groups), starts)
        else:
            statement = self._grouping.buckets(period, starts)
        values = {(row.label, row.bucket): row.value for row in await self._rows(statement)}
        nothing = self._query.metric.of_nothing
        return {
            group: {
                "total": values.get((group, None), nothing),
                "data": [{"time": clock.text(start), "value": values.get((group, start), nothing)} for start in starts],
            }
            for group in groups
        }

    async def _breakdown(self) -> list[dict[str, Any]]:
        query, breakdown = self._query, self._query.breakdown
        assert breakdown is not None  # noqa: S101 - so the parser made it
        rows = await self._groups(breakdown)
        whole = self._all
        before: Mapping[str | None, Number | None] = {}
        if query.compared:
            statement = self._grouping.named(query.compared, breakdown, _names([row.label for row in rows]), ())
            before = {row.label: row.value for row in await self._rows(statement)}
        nothing = query.metric.of_nothing
        results = []
        for row in rows:
            share = ratio(row.value, whole) if query.metric.name in _PARTS else None
            result = named(row.label) | {"value": row.value, "share": share}
            if query.compared:
                result["compare"] = compared(row.value, before.get(row.label, nothing))
            results.append(result)
        return results

    async def _groups(self, breakdown: Breakdown) -> list[Row]:
        """The largest, then the events without the key, then all others as one."""
        period = self._query.period
        rows = await self._rows(self._grouping.largest(period, breakdown))
        self._all = next((row.value for row in rows if row.label is None), None)
        without = [row for row in rows if row.label == NO_GROUP]
        groups = [row for row in rows if row.label]
        self.truncated = len(groups) > breakdown.limit
        largest = groups[: breakdown.limit]
        if not (self.truncated and breakdown.other):
            return largest + without
        return [*largest, *without, await self._other(breakdown, largest, without)]

    async def _other(self, breakdown: Breakdown, largest: list[Row], without: list[Row]) -> Row:
        if self._query.metric.name == "count" and not self._assumed.weights and self._all is not None:
            counted = sum(row.value or 0 for row in largest + without)
            return Row(OTHER, None, 1, 1, mixed=False, value=self._all - counted)
        names = [row.label or "" for row in largest]
        rows = await self._rows(self._grouping.named(self._query.period, breakdown, names, ()))
        return next(row for row in rows if row.label == OTHER)

    async def _rows(self, statement: Statement) -> list[Row]:
        rows = statement.rows(await self._store.query(statement.sql, statement.binder.parameters))
        if any(row.mixed for row in rows):
            raise OtherTypes
        # NULL, or 0, where there is no event.
        if any(row.least not in (None, 0, 1) or row.most not in (None, 0, 1) for row in rows):
            self.sampled = True
            if not self._assumed.weights:
                raise Weighed
        return rows


def _names(groups: Sequence[str | None]) -> list[str]:
    return [group for group in groups if group and group != OTHER]


def compared(value: Number | None, before: Number | None) -> dict[str, Any]:
    difference = None if value is None or before is None else value - before
    return {"value": before, "change": ratio(difference, before)}


def ratio(part: Number | None, whole: Number | None) -> float | None:
    return None if part is None or not whole else part / whole
