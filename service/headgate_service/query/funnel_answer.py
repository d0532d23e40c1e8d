"""How far users come through a funnel, put together from the rows of its statement."""

from collections.abc import Sequence
from typing import Any

from headgate_service.query.assumed import Assumed, OtherTypes
from headgate_service.query.funnel import Funnel
from headgate_service.query.funnel_statement import FunnelStatement
from headgate_service.query.group_name import named
from headgate_service.query.grouping import OTHER, number
from headgate_service.query.measure import Number
from headgate_service.query.period import Period
from headgate_service.query.query import Query
from headgate_service.query.reading import NO_GROUP
from headgate_service.query.scope import Scope
from headgate_service.query.store import Rows

_Steps = Sequence[Number | None]


class FunnelAnswer:
    """One run. `truncated` and `sampled` are known after `results`, which raises Contradicted."""

    def __init__(self, query: Query, scope: Scope, store: Rows, assumed: Assumed) -> None:
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
