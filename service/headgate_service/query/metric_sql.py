"""Metrics in SQL: what is selected of a group of events, how groups are ordered by it, and the number it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate_service.query.filter_sql import Reading
from headgate_service.query.metric import QUANTILES, Metric
from headgate_service.query.sql import Assumptions, Binder

Number = int | float

USER, SESSION = ("distinct_hash", "0"), ("session_id", "''")
"""By which column they are told apart, and what stands in it where there is none."""

# What is not finite is answered as null, and null comes last.
_FINITE = "if(isFinite({0}), {0}, NULL)"

# By how much an integer exceeds the float that is nearest to it: it ranks integers that are equal as floats.
_REST = "v0 - toInt256(toFloat64(v0))"

_USERS = {"unique_users": USER, "events_per_user": USER, "sessions": SESSION}


@dataclass(frozen=True, slots=True)
class Measure:
    """`columns` are aggregates, named v0, v1, ... in `order`, expressions by which groups are ranked, largest first;
    `value` reads their values."""

    columns: tuple[str, ...]
    order: tuple[str, ...]
    value: Callable[[Sequence[Any]], Number | None]


def measure(metric: Metric, binder: Binder, assumed: Assumptions) -> Measure:
    weights = assumed.weights
    if metric.key is None:
        return _of_events(metric.name, binder, weights)
    reading = Reading(metric.key, binder)
    if metric.name in QUANTILES:
        at = QUANTILES[metric.name]
        quantile = f"quantileExactInclusive({at})({reading.any_number()})"
        return Measure((quantile,), (_FINITE.format("v0"),), _interpolated)
    if metric.name in ("min", "max"):
        integers, reals = reading.any_integer(), reading.real()
        pick = min if metric.name == "min" else max
        extremes = (f"{metric.name}({integers})", f"{metric.name}({reals})")
        chosen = "least" if metric.name == "min" else "greatest"
        nearest = f"{chosen}(ifNull(toFloat64(v0), v1), ifNull(v1, toFloat64(v0)))"
        # Of an integer and a real that are as near as floats can say, the exact one decides.
        rest = f"if(isNull(v1), {_REST}, if(toFloat64(v0) = v1, {chosen}({_REST}, 0), if({nearest} = v1, 0, {_REST})))"
        return Measure(extremes, (nearest, f"ifNull({rest}, 0)"), lambda row: _picked(pick, row))
    if metric.name == "count_distinct":
        return Measure((_different(reading.group(texts_only=assumed.texts_only), "''"),), ("v0",), _first)
    return _of_numbers(metric.name, reading, weighted=bool(weights))


def _of_events(name: str, binder: Binder, weights: Sequence[float]) -> Measure:
    if name == "count":
        return Measure(("sum(weight)" if weights else "count()",), ("v0",), _first)
    who, nobody = _USERS[name]
    users = _users(who, nobody, binder, weights)
    if name != "events_per_user":
        return Measure((users,), ("v0",), _first)
    events = f"sumIf(weight, {who} != {nobody})" if weights else f"countIf({who} != {nobody})"
    return Measure((events, users), ("v0 / nullIf(v1, 0)",), lambda row: row[0] / row[1] if row[1] else None)


def _users(who: str, nobody: str, binder: Binder, weights: Sequence[float]) -> str:
    """How many there are; with weights the sum of everyone's largest weight.

    That sum is taken in layers: each weight adds its distance from the one below, once for everyone who reaches it.
    """
    if not weights:
        return _different(who, nobody)
    layers, below = [], 0.0
    for weight in weights:
        reached = f"uniqExactIf({who}, {who} != {nobody} AND weight >= {binder.number(weight)})"
        layers.append(f"{binder.number(weight - below)} * {reached}")
        below = weight
    return " + ".join(layers)


def _different(value: str, none: str) -> str:
    """How many values there are, `none` not counted; to leave it out by a condition takes three times as long."""
    return f"uniqExact({value}) - max({value} = {none})"


def _of_numbers(name: str, reading: Reading, *, weighted: bool) -> Measure:
    integers, reals = reading.any_integer(), reading.real()
    columns = (f"sum({integers})", f"sum({reals})", f"count({integers}) + count({reals})")
    if weighted:
        # Integers that stand for themselves are added as integers.
        number = reading.any_number()
        columns = (
            f"sumIf({integers}, weight = 1)",
            f"sumIf({number} * weight, weight != 1 OR isNotNull({reals}))",
            f"sumIf(weight, isNotNull({number}))",
        )
    total = "(ifNull(toFloat64(v0), 0) + ifNull(v1, 0))"
    if name == "sum":
        rest = f"if(ifNull(v1, 0) = 0, ifNull({_REST}, 0), 0)"
        return Measure(columns, (_FINITE.format(total), rest), lambda row: _number(_sum(row)))
    return Measure(
        columns, (_FINITE.format(f"({total} / nullIf(v2, 0))"),), lambda row: _sum(row) / row[2] if row[2] else None
    )


def _sum(row: Sequence[Any]) -> Number:
    whole: Number = row[0] or 0
    return whole + row[1] if row[1] else whole


def _picked(pick: Callable[..., Number], row: Sequence[Any]) -> Number | None:
    values = [_number(value) for value in row[:2] if value is not None]
    return pick(values) if values else None


def _interpolated(row: Sequence[Any]) -> Number | None:
    # The engine makes a float of it, and writes a large one as if each of its digits were known.
    return None if row[0] is None else _number(float(row[0]))


def _first(row: Sequence[Any]) -> Number | None:
    return None if row[0] is None else _number(row[0])


def _number(value: Number) -> Number:
    """Whole numbers as such: 2, not 2.0, as far as a float holds each of them."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
