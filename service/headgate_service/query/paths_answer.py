"""What paths are answered: each user's way as an array of names, of which places and steps are counted."""

from typing import Any

from headgate_service.query.filter import AllOf
from headgate_service.query.filter_sql import predicate
from headgate_service.query.funnel import ANY_EVENT
from headgate_service.query.funnel_sql import WHO
from headgate_service.query.group_sql import Scope, number
from headgate_service.query.limited_store import Rows
from headgate_service.query.metric_sql import Number
from headgate_service.query.paths import Paths
from headgate_service.query.query import Query
from headgate_service.query.sql import Binder
from headgate_service.query.time import Period

OTHER = "$other"
_AT = "toUnixTimestamp64Milli(ts)"


class PathsAnswer:
    """One run. `truncated` and `sampled` are known after `results`."""

    def __init__(self, query: Query, scope: Scope, store: Rows) -> None:
        assert query.paths is not None  # noqa: S101 - the caller looked
        self._paths: Paths = query.paths
        self._period = query.period
        self._scope = scope
        self._store = store
        self.truncated = False
        self.sampled = False

    async def results(self) -> list[dict[str, Any]]:
        binder = Binder()
        # One more than the limit, to know whether there are others.
        most = await self._store.query(
            f"SELECT place, way[place] AS name, sum(weight) AS size FROM ({self._ways(binder)})"
            " ARRAY JOIN arrayEnumerate(way) AS place GROUP BY place, name"
            f" ORDER BY place, size DESC, name LIMIT {self._paths.names + 1} BY place",
            binder.parameters,
        )
        kept: dict[int, list[str]] = {}
        for place, name, _ in most:
            kept.setdefault(int(place), []).append(str(name))
        self.truncated = any(len(names) > self._paths.names for names in kept.values())
        binder = Binder()
        shown = [f"{place} {name}" for place, names in kept.items() for name in names[: self._paths.names]]
        names = binder.texts(shown)
        told = (
            f"arrayMap((name, place) -> if(has({names}, concat(toString(place), ' ', name)), (0, name), (1, '')), way,"
        )
        rows = await self._store.query(
            f"SELECT place, told[place] AS here, if(place < length(told), told[place + 1], (2, '')) AS next,"
            f" sum(weight), min(weight), max(weight)"
            f" FROM (SELECT {told} arrayEnumerate(way)) AS told, weight FROM ({self._ways(binder)}))"
            " ARRAY JOIN arrayEnumerate(told) AS place GROUP BY place, here, next",
            binder.parameters,
        )
        return [self._shown([(int(p), tuple(here), tuple(there), *sizes) for p, here, there, *sizes in rows])]

    def _shown(self, rows: list[Any]) -> dict[str, Any]:
        nodes: dict[tuple[int, Any], Number] = {}
        edges: dict[tuple[int, Any, Any], Number] = {}
        for place, here, there, size, least, most in rows:
            self.sampled |= least != 1 or most != 1
            nodes[place, here] = nodes.get((place, here), 0) + size
            # 2 stands for the end of a way.
            if there[0] != 2:
                edges[place, here, there] = size
        return {
            "nodes": [
                {"step": place - 1} | _event("event", here) | {"count": _plain(size)}
                for (place, here), size in sorted(nodes.items(), key=lambda row: (row[0][0], -row[1], row[0]))
            ],
            "edges": [
                {"step": place - 1, "from": _name(here), "to": _name(there), "count": _plain(size)}
                for (place, here, there), size in sorted(edges.items(), key=lambda row: (row[0][0], -row[1], row[0]))
            ],
        }

    def _ways(self, binder: Binder) -> str:
        """A row per user whose way it is: the names of its events, from the anchor, and a weight."""
        paths, period = self._paths, self._period
        window = paths.window.ms
        within = (
            Period(period.start, period.end + window) if paths.forward else Period(period.start - window, period.end)
        )
        who, nobody = WHO[paths.count_by]
        parts = [f"{_AT} >= {binder.whole(period.start)}", f"{_AT} < {binder.whole(period.end)}"]
        if paths.anchor.event != ANY_EVENT:
            parts.append(f"event = {binder.text(paths.anchor.event)}")
        if paths.anchor.condition != AllOf(()):
            parts.append(predicate(paths.anchor.condition, binder))
        where = " AND ".join([*self._scope.common(binder, within), f"{who} != {nobody}"])
        order = "arraySort" if paths.forward else "arrayReverseSort"
        # Of several at one time and of one name the anchor comes first, in the direction of the way.
        anchor = 0 if paths.forward else 1
        anchored = f"if({' AND '.join(parts)}, {anchor}, {1 - anchor})"
        reach = binder.whole(window)
        near = f"abs(event.1 - here[1].1) <= {reach}"
        return (
            f"SELECT arraySlice(arrayFilter(event -> {near}, here), 1, {paths.depth}).2 AS way, weight"
            f" FROM (SELECT arraySlice(events, arrayFirstIndex(event -> event.3 = {anchor}, events)) AS here, weight"
            f" FROM (SELECT {order}(groupArray(({_AT}, event, {anchored}))) AS events, max(weight) AS weight"
            f" FROM {self._scope.table} WHERE {where} GROUP BY {who}"
            f" HAVING has(events.3, {anchor})))"
        )


def _name(told: tuple[int, str]) -> str:
    return OTHER if told[0] else told[1]


def _event(field: str, told: tuple[int, str]) -> dict[str, Any]:
    return {field: OTHER, "isOther": True} if told[0] else {field: told[1]}


def _plain(value: Any) -> Number:
    made = number(str(value)) or 0
    return int(made) if isinstance(made, float) and made.is_integer() else made
