"""A slow and obvious reading of the grammar: every query, answered by going through a list of events.

It shares the parsed query with what it checks, and nothing that computes.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from headgate_service.query.filter import AllOf, AnyOf, Condition, Key, Kind, Leaf, Not
from headgate_service.query.metric import QUANTILES, Metric
from headgate_service.query.query import Query
from headgate_service.query.time import Moment, Period

OTHER = object()
NOTHING = object()


@dataclass(frozen=True)
class Happened:
    """An event as the store has it."""

    ms: int
    event: str = "e"
    distinct_id: str = ""
    user_id: str = ""
    session_id: str = ""
    test: bool = False
    weight: float = 1.0
    columns: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


# --- values


def read(key: Key, event: Happened) -> Any:
    """NOTHING, or a text, number, flag, Moment, or list."""
    if key.kind is Kind.TIME:
        return Moment(event.ms)
    if key.kind is not Kind.PROPERTY:
        value = getattr(event, key.column or "")
        return NOTHING if value == "" else value
    for place in key.places:
        here: Any = event.properties
        for part in place:
            here = here.get(part) if isinstance(here, dict) else None
        if here is not None and not isinstance(here, dict):
            return here
    return (event.columns.get(key.column) if key.column else None) or NOTHING


def holds_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(holds_something(inner) for inner in value.values())
    return value is not None


def exists(key: Key, event: Happened) -> bool:
    if read(key, event) is not NOTHING:
        return True
    for place in key.places:
        here: Any = event.properties
        for part in place:
            here = here.get(part) if isinstance(here, dict) else None
        if holds_something(here):
            return True
    return False


def sort_of(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__


def same(one: Any, other: Any) -> bool:
    return sort_of(one) == sort_of(other) and one == other


def matches(condition: Condition, event: Happened) -> bool:
    match condition:
        case AllOf(parts):
            return all(matches(part, event) for part in parts)
        case AnyOf(parts):
            return any(matches(part, event) for part in parts)
        case Not(part):
            return not matches(part, event)
    assert isinstance(condition, Leaf)
    return leaf_matches(condition, event)


OPPOSITES = {"neq": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
TEXT: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "starts_with": lambda a, b: a.startswith(b),
    "ends_with": lambda a, b: a.endswith(b),
    "regex": lambda a, b: re.search(b, a) is not None,
}


def leaf_matches(leaf: Leaf, event: Happened) -> bool:
    if leaf.op in OPPOSITES:
        return not leaf_matches(Leaf(leaf.key, OPPOSITES[leaf.op], leaf.value), event)
    if leaf.op == "exists":
        return exists(leaf.key, event)
    value, asked = read(leaf.key, event), leaf.value
    if value is NOTHING:
        return False
    if leaf.op == "eq":
        return same(value, asked)
    if leaf.op == "in":
        assert isinstance(asked, tuple)
        return any(same(value, one) for one in asked)
    if leaf.op in TEXT:
        assert isinstance(asked, str)
        return isinstance(value, str) and TEXT[leaf.op](value, asked)
    if leaf.op == "between":
        assert isinstance(asked, tuple)
        return ordered("gte", value, asked[0]) and ordered("lte", value, asked[1])
    return ordered(leaf.op, value, asked)


def ordered(op: str, value: Any, asked: Any) -> bool:
    # Code points and UTF-8 bytes have the same order.
    return sort_of(value) == sort_of(asked) and sort_of(value) not in ("flag", "list") and ORDER[op](value, asked)


def group(key: Key, event: Happened) -> Any:
    """(rank of its sort, value), or None for the events without the key."""
    value = read(key, event)
    if value is NOTHING or isinstance(value, list):
        return None
    ranks = {"flag": 0, "number": 1, "str": 2}
    if isinstance(value, float) and value.is_integer() and -(2**63) <= value < 2**64:
        value = int(value)
    return (ranks[sort_of(value)], value)


# --- time


def local(ms: int, zone: ZoneInfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(zone)


def first_day(day: date, interval: str) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


@cache
def bucket_text(ms: int, interval: str, zone: ZoneInfo) -> str:
    """The start of a moment's bucket. Minutes and hours: back minute by minute while the local clock shows the same."""
    if interval in ("minute", "hour"):
        minute = ms // 60_000 * 60_000

        def same_hour(at: int) -> bool:
            there, here = local(at, zone), local(ms, zone)
            return (there.date(), there.hour, there.utcoffset()) == (here.date(), here.hour, here.utcoffset())

        while interval == "hour" and same_hour(minute - 60_000):
            minute -= 60_000
        return local(minute, zone).isoformat()
    today = local(ms, zone).date()
    # Where the clock goes back over midnight, tomorrow has begun although it shows today again.
    days = [first_day(day, interval) for day in (today + timedelta(days=1), today)]
    return local(next(begins(day, zone) for day in days if begins(day, zone) <= ms), zone).isoformat()


@cache
def begins(day: date, zone: ZoneInfo) -> int:
    """The first minute at which the local clock shows the day or a later one."""
    ms = (day - date(1970, 1, 1)).days * 86_400_000 - 36 * 3_600_000
    while local(ms, zone).date() < day:
        ms += 60_000
    return ms


# --- metrics


def weighed_users(events: Iterable[Happened], who: Callable[[Happened], str]) -> float:
    largest: dict[str, float] = {}
    for event in events:
        if who(event):
            largest[who(event)] = max(largest.get(who(event), 0.0), event.weight)
    return sum(largest.values())


def inclusive_quantile(values: list[float], at: float) -> float:
    values = sorted(values)
    place = (len(values) - 1) * at
    below = math.floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def measured(metric: Metric, events: list[Happened]) -> Any:
    if metric.name == "count":
        return sum(event.weight for event in events)
    if metric.name == "unique_users":
        return weighed_users(events, lambda event: event.distinct_id)
    if metric.name == "sessions":
        return weighed_users(events, lambda event: event.session_id)
    if metric.name == "events_per_user":
        users = weighed_users(events, lambda event: event.distinct_id)
        return sum(event.weight for event in events if event.distinct_id) / users if users else None
    assert metric.key is not None
    if metric.name == "count_distinct":
        return len({group(metric.key, event) for event in events} - {None})
    read_values = [(read(metric.key, event), event.weight) for event in events]
    numbers = [(value, weight) for value, weight in read_values if sort_of(value) == "number"]
    values = [value for value, _ in numbers]
    if metric.name == "sum":
        return total(numbers)
    if not values:
        return None
    if metric.name == "avg":
        return total(numbers) / sum(weight for _, weight in numbers)
    if metric.name in ("min", "max"):
        return min(values) if metric.name == "min" else max(values)
    return inclusive_quantile([float(value) for value in values], QUANTILES[metric.name])


def total(numbers: list[tuple[Any, float]]) -> Any:
    if all(weight == 1 for _, weight in numbers):
        integers = sum(value for value, _ in numbers if isinstance(value, int))
        floats = math.fsum(value for value, _ in numbers if isinstance(value, float))
        return integers + floats if floats else integers
    return math.fsum(value * weight for value, weight in numbers)


# --- answers


def chosen(query: Query, events: list[Happened], period: Period) -> list[Happened]:
    return [
        event
        for event in events
        if period.start <= event.ms < period.end
        and (query.include_test or not event.test)
        and (query.event is None or event.event == query.event)
        and matches(query.condition, event)
    ]


def answer(query: Query, events: list[Happened]) -> list[dict[str, Any]]:
    if query.type == "funnel":
        return funnel_answer(query, events)
    if query.type == "paths":
        return paths_answer(query, events)
    if query.type == "retention":
        return retention_answer(query, events)
    now = chosen(query, events, query.period)
    before = chosen(query, events, query.compared) if query.compared else []
    if query.breakdown is None:
        return [parts(query, None, now, before, now)]
    key = query.breakdown.key
    groups = {group(key, event) for event in now}
    values = {name: measured(query.metric, [e for e in now if group(key, e) == name]) for name in groups - {None}}
    ranked = sorted(values, key=lambda name: (values[name] is None, -(values[name] or 0), name))
    named = ranked[: query.breakdown.limit]
    shown: list[Any] = [*named, *([None] if None in groups else [])]
    if len(ranked) > len(named) and query.breakdown.other:
        shown.append(OTHER)

    def of(name: Any, these: list[Happened]) -> list[Happened]:
        if name is OTHER:
            return [event for event in these if group(key, event) not in (*named, None)]
        return [event for event in these if group(key, event) == name]

    return [parts(query, name, of(name, now), of(name, before), now) for name in shown]


def key_fields(name: Any) -> dict[str, Any]:
    if name is OTHER:
        return {"key": "$other", "isOther": True}
    return {"key": name[1] if name else None}


def parts(
    query: Query, name: Any, now: list[Happened], before: list[Happened], everything: list[Happened]
) -> dict[str, Any]:
    value = measured(query.metric, now)
    past = measured(query.metric, before)
    if query.type == "timeseries":
        assert query.buckets
        result = key_fields(name) | series(query, now, query.period)
        return result | ({"compare": series(query, before, query.compared)} if query.compared else {})
    result = {"value": value}
    if query.compared:
        change = None if value is None or not past else (value - past) / past
        result["compare"] = {"value": past, "change": change}
    if query.type == "breakdown":
        additive = query.metric.name in ("count", "unique_users", "sessions", "sum", "count_distinct")
        whole = measured(query.metric, everything)
        result |= key_fields(name) | {"share": value / whole if additive and whole else None}
    return result


def series(query: Query, events: list[Happened], period: Period | None) -> dict[str, Any]:
    assert query.buckets
    assert period
    zone = query.clock.zone
    # Every second would do; the first moments of a bucket are on a quarter of an hour, as far as these zones go.
    step = 60_000 if query.buckets.interval == "minute" else 900_000
    moments = [period.start, *range(period.start // step * step + step, period.end, step)]
    labels = list(dict.fromkeys(bucket_text(ms, query.buckets.interval, zone) for ms in moments))
    inside: dict[str, list[Happened]] = {label: [] for label in labels}
    for event in events:
        inside[bucket_text(event.ms, query.buckets.interval, zone)].append(event)
    return {
        "total": measured(query.metric, events),
        "data": [{"time": label, "value": measured(query.metric, inside[label])} for label in labels],
    }


# --- paths


def paths_answer(query: Query, events: list[Happened]) -> list[dict[str, Any]]:
    asked, period = query.paths, query.period
    assert asked
    people: dict[str, list[Happened]] = {}
    early, late = (0, asked.window.ms) if asked.forward else (asked.window.ms, 0)
    for event in events:
        person = event.distinct_id if asked.count_by == "user" else event.session_id
        usable = (query.include_test or not event.test) and matches(query.condition, event)
        if person and usable and period.start - early <= event.ms < period.end + late:
            people.setdefault(person, []).append(event)

    def anchored(event: Happened) -> bool:
        named = asked.anchor.event in ("*", event.event) and matches(asked.anchor.condition, event)
        return named and period.start <= event.ms < period.end

    ways = []
    for theirs in people.values():
        if asked.forward:
            row = sorted(theirs, key=lambda e: (e.ms, e.event.encode(), not anchored(e)))
        else:
            row = sorted(theirs, key=lambda e: (e.ms, e.event.encode(), anchored(e)), reverse=True)
        while row and not anchored(row[0]):
            row.pop(0)
        if row:
            names = [e.event for e in row if abs(e.ms - row[0].ms) <= asked.window.ms][: asked.depth]
            ways.append((names, max(e.weight for e in theirs)))
    kept: list[list[str]] = []
    for place in range(asked.depth):
        sizes: dict[str, float] = {}
        for names, weight in ways:
            if len(names) > place:
                sizes[names[place]] = sizes.get(names[place], 0) + weight
        kept.append(sorted(sizes, key=lambda name: (-sizes[name], name))[: asked.names])
    nodes: dict[tuple[int, bool, str], float] = {}
    edges: dict[tuple[int, bool, str, bool, str], float] = {}
    for names, weight in ways:
        told = [(name not in kept[place], name if name in kept[place] else "") for place, name in enumerate(names)]
        for place, here in enumerate(told):
            nodes[place, *here] = nodes.get((place, *here), 0) + weight
            if place + 1 < len(told):
                edge = (place, *here, *told[place + 1])
                edges[edge] = edges.get(edge, 0) + weight

    def shown(other: bool, name: str) -> str:
        return "$other" if other else name

    return [
        {
            "nodes": [
                {"step": place, "event": shown(other, name)} | ({"isOther": True} if other else {}) | {"count": size}
                for (place, other, name), size in sorted(nodes.items(), key=lambda row: (row[0][0], -row[1], row[0]))
            ],
            "edges": [
                {"step": place, "from": shown(o, n), "to": shown(p, m), "count": size}
                for (place, o, n, p, m), size in sorted(edges.items(), key=lambda row: (row[0][0], -row[1], row[0]))
            ],
        }
    ]


# --- retention


def retention_answer(query: Query, events: list[Happened]) -> list[dict[str, Any]]:
    asked = query.retention
    assert asked
    zone, period = query.clock.zone, query.period
    labels = dict.fromkeys(
        bucket_text(ms, asked.interval, zone) for ms in [*range(period.start, asked.end, 3_600_000), period.end - 1]
    )
    buckets = sorted(labels, key=datetime.fromisoformat)
    people: dict[str, list[Happened]] = {}
    for event in events:
        person = event.distinct_id if asked.count_by == "user" else event.session_id
        usable = (query.include_test or not event.test) and matches(query.condition, event)
        if person and usable and period.start <= event.ms < asked.end:
            people.setdefault(person, []).append(event)
    members = []
    for theirs in people.values():
        entries = [e for e in theirs if query.event in (None, e.event) and e.ms < period.end]
        if not entries:
            continue
        first = min(entry.ms for entry in entries)
        returns = [e for e in theirs if asked.return_event in (None, e.event)]
        cohort = bucket_text(first, asked.interval, zone)
        places = {buckets.index(bucket_text(e.ms, asked.interval, zone)) for e in returns if e.ms >= first}
        came = {place - buckets.index(cohort) for place in places}
        used = [e for e in theirs if e in returns or query.event in (None, e.event)]
        name = None
        if query.breakdown:
            groups = [group(query.breakdown.key, entry) for entry in entries if entry.ms == first]
            name = min((one for one in groups if one is not None), default=None)
        members.append((name, cohort, came, max(e.weight for e in used)))
    names = {member[0] for member in members}
    sizes = {name: sum(weight for other, _, _, weight in members if other == name) for name in names - {None}}
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    chosen_names: list[Any] = [None]
    if query.breakdown:
        chosen_names = [*ranked[: query.breakdown.limit], *([None] if None in names else [])]
        if len(ranked) > query.breakdown.limit and query.breakdown.other:
            chosen_names.append(OTHER)
    shown = []
    for wanted in chosen_names:
        if query.breakdown is None:
            these = members
        elif wanted is OTHER:
            these = [m for m in members if m[0] is not None and m[0] not in ranked[: query.breakdown.limit]]
        else:
            these = [m for m in members if m[0] == wanted]
        cohorts = []
        for start in asked.cohorts:
            label = bucket_text(start, asked.interval, zone)
            inside = [m for m in these if m[1] == label]
            values = [sum(m[3] for m in inside if n in m[2]) for n in range(asked.periods + 1)]
            cohorts.append({"time": label, "size": sum(m[3] for m in inside), "values": values})
        shown.append(key_fields(wanted) | {"cohorts": cohorts})
    return shown


# --- funnels


def funnel_answer(query: Query, events: list[Happened]) -> list[dict[str, Any]]:
    now = ways(query, events, query.period)
    before = ways(query, events, query.compared) if query.compared else None
    if query.breakdown is None:
        shown: list[Any] = [None]
        named: list[Any] = []
    else:
        groups = {way.group for way in now}
        sizes = {name: sum(way.weight for way in now if way.group == name) for name in groups - {None}}
        ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
        named = ranked[: query.breakdown.limit]
        shown = [*named, *([None] if None in groups else [])]
        if len(ranked) > len(named) and query.breakdown.other:
            shown.append(OTHER)

    def of(name: Any, these: list["Way"]) -> list["Way"]:
        if query.breakdown is None:
            return these
        if name is OTHER:
            return [way for way in these if way.group not in (*named, None)]
        return [way for way in these if way.group == name]

    return [
        key_fields(name)
        | steps_of(query, of(name, now))
        | ({"compare": steps_of(query, of(name, before))} if before is not None else {})
        for name in shown
    ]


@dataclass
class Way:
    group: Any
    weight: float
    times: list[int]


def ways(query: Query, events: list[Happened], period: Period) -> list[Way]:
    funnel = query.funnel
    assert funnel
    people: dict[str, list[Happened]] = {}
    for event in events:
        person = event.distinct_id if funnel.count_by == "user" else event.session_id
        usable = (query.include_test or not event.test) and matches(query.condition, event)
        if person and usable and period.start <= event.ms < period.end + funnel.window.ms:
            people.setdefault(person, []).append(event)

    def takes(index: int, event: Happened) -> bool:
        step = funnel.steps[index]
        named = step.event in ("*", event.event) and matches(step.condition, event)
        return named and (index > 0 or event.ms < period.end)

    found = []
    for theirs in people.values():
        entries = sorted((event for event in theirs if takes(0, event)), key=lambda event: event.ms)
        if not entries:
            continue
        best: list[int] = []
        for entry in entries:
            times = [entry.ms]
            for index in [] if funnel.order == "any" else range(1, len(funnel.steps)):
                later = [e.ms for e in theirs if takes(index, e) and e.ms > times[-1]]
                if not later or min(later) - entry.ms > funnel.window.ms:
                    break
                others = [n for n in range(len(funnel.steps)) if n not in (index - 1, index)]
                between = [e for e in theirs if times[-1] < e.ms < min(later) and any(takes(n, e) for n in others)]
                if funnel.order == "strict" and between:
                    break
                times.append(min(later))
            for index in range(1, len(funnel.steps)) if funnel.order == "any" else []:
                later = [e.ms for e in theirs if takes(index, e) and entry.ms < e.ms <= entry.ms + funnel.window.ms]
                if not later:
                    break
                times.append(max(min(later), times[-1]))
            if len(times) > len(best):
                best = times
        name = None
        if query.breakdown:
            key = query.breakdown.key
            first = [group(key, entry) for entry in entries if entry.ms == entries[0].ms]
            name = min((one for one in first if one is not None), default=None)
        weight = max(e.weight for e in theirs if any(takes(index, e) for index in range(len(funnel.steps))))
        found.append(Way(name, weight, best))
    return found


def steps_of(query: Query, these: list[Way]) -> dict[str, Any]:
    assert query.funnel
    rows: list[dict[str, Any]] = []
    counts = []
    for index, step in enumerate(query.funnel.steps):
        through = [way for way in these if len(way.times) > index]
        counts.append(sum(way.weight for way in through))
        before = counts[max(index - 1, 0)]
        seconds = [(way.times[index] - way.times[index - 1]) / 1000 for way in through] if index else []
        row: dict[str, Any] = {"index": index + 1, "event": step.event}
        if step.name:
            row["name"] = step.name
        rows.append(
            row
            | {
                "count": counts[-1],
                "conversion": counts[-1] / counts[0] if counts[0] else None,
                "stepConversion": counts[-1] / before if before else None,
                "dropoff": before - counts[-1],
                "medianSeconds": statistics.median(seconds) if seconds else None,
            }
        )
    return {"steps": rows, "conversion": counts[-1] / counts[0] if counts[0] else None}
