"""What a retention is answered: one row per user, with when they came first and which periods they came back in."""

from collections.abc import Sequence
from typing import Any

from headgate_service.query.filter_sql import NO_GROUP, Reading
from headgate_service.query.funnel_sql import WHO
from headgate_service.query.group_sql import KEY_ORDER, OTHER, Scope, named, number
from headgate_service.query.limited_store import Rows
from headgate_service.query.metric_sql import Number
from headgate_service.query.query import Query
from headgate_service.query.retention import Retention
from headgate_service.query.sql import Assumptions, Binder, OtherTypes
from headgate_service.query.time import Period

_AT = "toUnixTimestamp64Milli(ts)"


class RetentionAnswer:
    """One run. `truncated` and `sampled` are known after `results`, which raises Contradicted."""

    def __init__(self, query: Query, scope: Scope, store: Rows, assumed: Assumptions) -> None:
        assert query.retention is not None  # noqa: S101 - the caller looked
        self._query = query
        self._retention: Retention = query.retention
        self._scope = scope
        self._store = store
        self._assumed = assumed
        self.truncated = False
        self.sampled = False

    async def results(self) -> list[dict[str, Any]]:
        groups, names = [NO_GROUP], None
        if breakdown := self._query.breakdown:
            binder = Binder()
            order = KEY_ORDER.replace("label", "name")
            rows = await self._rows(
                f"SELECT label AS name, sum(weight) AS size FROM ({self._users(binder)}) GROUP BY name"
                f" ORDER BY name = '' DESC, size DESC, {order} LIMIT {breakdown.limit + 2}",
                binder,
            )
            found = [str(row[0]) for row in rows]
            largest = [name for name in found if name]
            self.truncated = len(largest) > breakdown.limit
            names = largest[: breakdown.limit]
            groups = [*names, *([NO_GROUP] if NO_GROUP in found else [])]
            if self.truncated and breakdown.other:
                groups.append(OTHER)
        cohorts = await self._cohorts(names)
        return [named(group) | {"cohorts": self._shown(cohorts, group)} for group in groups]

    async def _cohorts(self, names: Sequence[str] | None) -> dict[tuple[str, int], list[Number]]:
        """By group and number of the cohort: how many are in it, and in each period how many came back."""
        binder = Binder()
        group = "''"
        if names is not None:
            group = f"if(has({binder.texts([NO_GROUP, *names])}, label), label, '{OTHER}')"
        # In the first period, what came before they were in the cohort is no return.
        came = "mapContains(back, cohort + n) AND (n > 0 OR back[cohort] >= first)"
        rows = await self._rows(
            f"SELECT {group} AS name, cohort, sum(weight), sumForEach(arrayMap(n -> if({came}, weight, 0.),"
            f" range({self._retention.periods + 1}))), min(weight), max(weight), max(odd)"
            f" FROM ({self._users(binder)}) GROUP BY name, cohort",
            binder,
        )
        found = {}
        for name, cohort, size, values, least, most, odd in rows:
            if int(odd):
                raise OtherTypes
            self.sampled |= least != 1 or most != 1
            found[str(name), int(cohort)] = [_plain(size), *map(_plain, values)]
        return found

    def _shown(self, found: dict[tuple[str, int], list[Number]], group: str) -> list[dict[str, Any]]:
        nothing = [0] * (self._retention.periods + 2)
        shown = []
        for cohort, start in enumerate(self._retention.cohorts, 1):
            size, *values = found.get((group, cohort), nothing)
            shown.append({"time": self._query.clock.text(start), "size": size, "values": values})
        return shown

    def _users(self, binder: Binder) -> str:
        """A row per user of a cohort: its number from 1, when they came first, and of each period that they came in the
        last time, by its number; their weight and group."""
        query, retention, period = self._query, self._retention, self._query.period
        who, nobody = WHO[retention.count_by]
        until = Period(period.start, retention.end)
        entry = "1" if query.event is None else f"event = {binder.text(query.event)}"
        back = "1" if retention.return_event is None else f"event = {binder.text(retention.return_event)}"
        names = [query.event, retention.return_event]
        where = [*self._scope.common(binder, until), f"{who} != {nobody}"]
        if None not in names:
            where.append(f"event IN {binder.texts(sorted({str(name) for name in names}))}")
        label, odd = "''", "0"
        if query.breakdown:
            reading = Reading(query.breakdown.key, binder)
            group = reading.group(texts_only=self._assumed.texts_only)
            order = KEY_ORDER.replace("label", "grouped")
            label = f"argMinIf({group} AS grouped, ({_AT}, grouped = '', {order}), joins)"
            odd = f"max({reading.no_text()})" if self._assumed.texts_only else "0"
        return (
            f"WITH {entry} AND {_AT} < {binder.whole(period.end)} AS joins, {back} AS returns"
            f" SELECT minIf({_AT}, joins) AS first, {self._number('first', binder)} AS cohort,"
            f" maxMapIf(map({self._number(_AT, binder)}, {_AT}), returns) AS back,"
            f" max(weight) AS weight, {label} AS label, {odd} AS odd"
            f" FROM {self._scope.table} WHERE {' AND '.join(where)} GROUP BY {who} HAVING countIf(joins) > 0"
        )

    def _number(self, at: str, binder: Binder) -> str:
        """Of a time the number of its period, from 1."""
        starts = binder.wholes(self._retention.starts)
        return f"transform(roundDown({at}, {starts}), {starts}, range(1, {len(self._retention.starts) + 1}), 0)"

    async def _rows(self, sql: str, binder: Binder) -> Sequence[Sequence[Any]]:
        return await self._store.query(sql, binder.parameters)


def _plain(value: Any) -> Number:
    made = number(str(value)) or 0
    return int(made) if isinstance(made, float) and made.is_integer() else made
