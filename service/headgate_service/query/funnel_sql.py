"""Funnels in SQL.

Each user's events become an array of integers, sorted: the time, and in its last four bits the step, later steps
before earlier ones of the same time. From the place of one step the next one is then always strictly later, and is
found for all places at once by carrying it backwards through the array. Of the entries the one that comes furthest is
taken, the earliest of several; the work grows with the number of events, not with its square.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate_service.query.filter import AllOf, Key
from headgate_service.query.filter_sql import NO_GROUP, Reading, predicate
from headgate_service.query.funnel import ANY_EVENT, Funnel, Step
from headgate_service.query.funnel_order_sql import NEVER, any_entries, masked, strict_entries
from headgate_service.query.group_sql import KEY_ORDER, OTHER, Scope, moment
from headgate_service.query.metric_sql import SESSION, USER
from headgate_service.query.query import Breakdown
from headgate_service.query.sql import Assumptions, Binder
from headgate_service.query.time import Period

_STEP_BITS = 4
_SCALE = 1 << _STEP_BITS
WHO = {"user": USER, "session": SESSION}
_AT = "toUnixTimestamp64Milli(ts)"
# Of several first entries at one time, the group that comes first; no group comes last.
_FIRST_GROUP = (
    f"arraySort(label -> (label = '', {KEY_ORDER}),"
    " arrayFilter((label, at) -> at = arrayMin(ats), labels, ats))[1] AS label"
)


@dataclass(frozen=True, slots=True)
class FunnelStatement:
    """Makes one statement; it can be asked for once."""

    scope: Scope
    funnel: Funnel
    period: Period
    assumed: Assumptions
    binder: Binder = field(default_factory=Binder)

    def with_groups(self, breakdown: Breakdown | None, names: Sequence[str] | None) -> tuple[str, Binder]:
        """Rows of a label, NULL for everyone; the least and the largest weight; whether keys have values that are no
        texts; a count per step, and for each step after the first the median of the seconds since the one before.

        With a breakdown but no `names` there are the rows of everyone, of those without the key, and of the largest
        groups, one more than the limit; with `names` those of these groups, of OTHER and of those without the key.
        """
        steps = range(1, len(self.funnel.steps) + 1)
        counts = [f"sumIf(weight, depth >= {step})" for step in steps]
        medians = [
            f"quantileExactInclusiveIf(0.5)((way.{step} - way.{step - 1}) / 1000, depth >= {step})"
            for step in steps[1:]
        ]
        values = [f"{sql} AS v{index}" for index, sql in enumerate(counts + medians)]
        inner = f"min(weight) AS least, max(weight) AS most, max(odd) AS mixed, {', '.join(values)}"
        outer = ", ".join(
            f"toString({name})" for name in ("least", "most", "mixed", *(f"v{i}" for i in range(len(values))))
        )
        ways = self._ways(breakdown.key if breakdown else None)
        if breakdown is None:
            return f"SELECT NULL, {outer} FROM (SELECT {inner} FROM ({ways}))", self.binder
        group = "label"
        if names is not None:
            group = f"if(has({self.binder.texts([NO_GROUP, *names])}, label), label, '{OTHER}')"
        sql = (
            f"SELECT if(all_labels = 1, NULL, group_label) AS shown, {outer}"
            f" FROM (SELECT {group} AS group_label, grouping(group_label) AS all_labels, {inner} FROM ({ways})"
            f" GROUP BY group_label WITH ROLLUP)"
        )
        if names is None:
            order = KEY_ORDER.replace("label", "group_label")
            sql += f" ORDER BY all_labels DESC, group_label = '' DESC, v0 DESC, {order} LIMIT {breakdown.limit + 3}"
        return sql, self.binder

    def _ways(self, key: Key | None) -> str:
        """A row per user who entered: when they took the steps, how many in the window, a weight, and their group."""
        steps = range(2, len(self.funnel.steps) + 1)
        times = ", ".join(["entry.1", *(self._next("entry.2", step) for step in steps)])
        depth = " + ".join(["1", *(f"(way.{step} - way.1 <= {self._window})" for step in steps)])
        rest = "weight, odd" + (", label" if key else "")
        return (
            f"SELECT ({times}) AS way, {depth} AS depth, {rest} FROM ("
            f"SELECT {self._best()} AS entry, {rest} FROM ({self._carried(rest, key)}))"
        )

    def _best(self) -> str:
        """Of the entries the earliest of those that come furthest."""
        steps = range(2, len(self.funnel.steps) + 1)
        reached = " + ".join(f"({self._next('next', step)} - at <= {self._window})" for step in steps)
        depths = f"arrayMap((at, next) -> {reached}, entries.1, entries.2)"
        return f"arrayElement(entries, indexOf({depths} AS depths, arrayMax(depths)))"

    def _next(self, name: str, step: int) -> str:
        """The time of a step after the first, where `name` holds all of these: alone where it is the only one."""
        return f"{name}.{step - 1}" if len(self.funnel.steps) > 2 else name

    def _carried(self, rest: str, key: Key | None) -> str:
        """A row per user: their entries, each the time of the first step with the soonest ones of those that follow."""
        count = len(self.funnel.steps)
        places = rest.replace("label", _FIRST_GROUP)
        if self.funnel.order != "ordered":
            entries = any_entries(count) if self.funnel.order == "any" else strict_entries(count)
            return (
                f"SELECT {entries} AS entries, {rest} FROM ("
                f"SELECT {masked('items', count)}, {places} FROM ({self._arrays(key)}))"
            )
        nexts = f"arrayReverseFill((at, step) -> step = {count} OR step = 0, times, steps)"
        for step in range(count - 1, 1, -1):
            following = range(1, count - step + 1)
            flat = ", ".join(f"next.{index}" for index in following) if len(following) > 1 else "next"
            way = f"arrayMap((at, next) -> (at, {flat}), times, {nexts})"
            nexts = f"arrayReverseFill((way, step) -> step = {step} OR step = 0, {way}, steps)"
        # The last place stands for never, and for every step at once.
        return (
            f"SELECT arrayFilter((entry, step) -> step = 1, arrayZip(times, {nexts}), steps) AS entries, {rest} FROM ("
            f"SELECT arrayPushBack(arrayMap(code -> bitShiftRight(code, {_STEP_BITS}), codes), {NEVER}) AS times,"
            f" arrayPushBack(arrayMap(code -> {_SCALE - 1} - bitAnd(code, {_SCALE - 1}), codes), 0) AS steps, {places}"
            f" FROM ({self._arrays(key)}))"
        )

    def _arrays(self, key: Key | None) -> str:
        """A row per user: the times of their events with the steps; of the first steps also the groups."""
        steps, binder = self.funnel.steps, self.binder
        until = Period(self.period.start, self.period.end + self.funnel.window.ms)
        taken = [
            f"({self._matches(steps[0])} AND ts < {moment(self.period.end, binder)})",
            *map(self._matches, steps[1:]),
        ]
        names = [f"s{index}" for index in range(1, len(steps) + 1)]
        if self.funnel.order == "ordered":
            events = f"arraySort({self._codes(names)}) AS codes"
        else:
            mask = " + ".join(f"{1 << number} * {name}" for number, name in enumerate(names))
            events = f"arraySort(groupArray(({_AT}, toUInt16({mask})))) AS items"
        columns = ["max(weight) AS weight", events]
        odd = "0"
        if key:
            reading = Reading(key, binder)
            group = reading.group(texts_only=self.assumed.texts_only)
            columns.append(f"groupArrayIf({group}, s1) AS labels, groupArrayIf({_AT}, s1) AS ats")
            odd = f"max({reading.no_text()})" if self.assumed.texts_only else "0"
        who, nobody = WHO[self.funnel.count_by]
        where = [*self.scope.common(binder, until), f"{who} != {nobody}", *self._events(), f"({' OR '.join(names)})"]
        return (
            f"WITH {', '.join(f'{sql} AS {name}' for name, sql in zip(names, taken, strict=True))}"
            f" SELECT {', '.join(columns)}, {odd} AS odd FROM {self.scope.table}"
            f" WHERE {' AND '.join(where)} GROUP BY {who} HAVING countIf(s1) > 0"
        )

    def _codes(self, names: Sequence[str]) -> str:
        """Of all events that are steps, the time with the step: for each step, where one event may be several."""
        codes = {name: f"{_AT} * {_SCALE} + {_SCALE - 1 - number}" for number, name in enumerate(names, 1)}
        events = {step.event for step in self.funnel.steps}
        if ANY_EVENT in events or len(events) < len(names):
            return f"arrayConcat({', '.join(f'groupArrayIf({code}, {name})' for name, code in codes.items())})"
        *before, last = codes.items()
        cases = "".join(f"{name}, {code}, " for name, code in before)
        return f"groupArray(multiIf({cases}{last[1]}))"

    def _matches(self, step: Step) -> str:
        parts = [] if step.event == ANY_EVENT else [f"event = {self.binder.text(step.event)}"]
        if step.condition != AllOf(()):
            parts.append(predicate(step.condition, self.binder))
        return f"({' AND '.join(parts)})" if parts else "true"

    def _events(self) -> list[str]:
        """What lets the engine pass over the events of other names without reading them."""
        names = sorted({step.event for step in self.funnel.steps})
        return [] if ANY_EVENT in names else [f"event IN {self.binder.texts(names)}"]

    @property
    def _window(self) -> str:
        return self.binder.whole(self.funnel.window.ms)
