"""Filters in SQL. Every expression is 0 or 1, never NULL, so that NOT means what it says."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from headgate_service.query.binder import Binder
from headgate_service.query.condition import AllOf, AnyOf, Condition, Leaf, Scalar
from headgate_service.query.condition import Not as NotOf
from headgate_service.query.key import Kind
from headgate_service.query.moment import Moment
from headgate_service.query.reading import Reading

Bound = TypeVar("Bound", str, int, float)

_OPPOSITES = {"neq": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TEXT_TESTS = {
    "contains": "position({text}, {bound}) > 0",
    "starts_with": "startsWith({text}, {bound})",
    "ends_with": "endsWith({text}, {bound})",
    "regex": "match({text}, {bound})",
}
# In what the engine takes for the end of its integers' range, a step further.
_LEAST, _MOST = -(2**63) - 1, 2**64


def predicate(condition: Condition, binder: Binder) -> str:
    match condition:
        case AllOf(parts):
            return _joined(parts, " AND ", "1", binder)
        case AnyOf(parts):
            return _joined(parts, " OR ", "0", binder)
        case NotOf(part):
            return f"NOT {predicate(part, binder)}"
        case Leaf(key, op, value) if op in _OPPOSITES:
            return f"NOT {predicate(Leaf(key, _OPPOSITES[op], value), binder)}"
        case Leaf():
            return _leaf(condition, Reading(condition.key, binder), binder)


def _joined(parts: tuple[Condition, ...], word: str, nothing: str, binder: Binder) -> str:
    return f"({word.join(predicate(part, binder) for part in parts)})" if parts else nothing


def _leaf(leaf: Leaf, reading: Reading, binder: Binder) -> str:
    op, value = leaf.op, leaf.value
    if op == "exists":
        return reading.present()
    if leaf.key.kind is Kind.TIME:
        return _on_time(op, value, reading, binder)
    if op == "between":
        assert isinstance(value, tuple)  # noqa: S101 - so the parser made it
        return f"({_ordered('gte', value[0], reading, binder)} AND {_ordered('lte', value[1], reading, binder)})"
    if op in _SIGNS:
        assert isinstance(value, str | int | float)  # noqa: S101 - so the parser made it
        return _ordered(op, value, reading, binder)
    if op in ("eq", "in"):
        return _among(value if isinstance(value, tuple) else (value,), reading, binder)  # type: ignore[arg-type]
    assert isinstance(value, str)  # noqa: S101 - so the parser made it
    # As RE2 has it by itself: the dot is no line's end.
    bound = binder.text(f"(?-s){value}" if op == "regex" else value)
    return reading.text_that(lambda text: _TEXT_TESTS[op].format(text=text, bound=bound))


def _among(values: Sequence[Scalar], reading: Reading, binder: Binder) -> str:
    texts = [value for value in values if isinstance(value, str)]
    flags = {value for value in values if isinstance(value, bool)}
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    parts = []
    if texts:
        parts.append(reading.text_that(lambda text: _one_of(text, texts, binder.texts, binder.text)))
    small = [number for number in numbers if isinstance(number, int) and -(2**63) <= number < 2**63]
    large = [number for number in numbers if isinstance(number, int) and 2**63 <= number < 2**64]
    # Whole numbers are the same however they are stored; a float equals those that it holds exactly.
    reals = [float(number) for number in numbers if _is_real(number)]
    if small:
        parts.append(f"ifNull({_one_of(reading.integer(), small, binder.wholes, binder.whole)}, 0)")
    parts += [f"ifNull({reading.large()} = {binder.whole(number)}, 0)" for number in large]
    if reals:
        parts.append(f"ifNull({_one_of(reading.real(), reals, binder.numbers, binder.number)}, 0)")
    parts += [f"ifNull({reading.flag()} = {str(flag).lower()}, 0)" for flag in sorted(flags)]
    return f"({' OR '.join(parts)})" if parts else "0"


def _one_of(
    expression: str,
    values: Sequence[Bound],
    several: Callable[[Sequence[Bound]], str],
    one: Callable[[Bound], str],
) -> str:
    return f"{expression} = {one(values[0])}" if len(values) == 1 else f"has({several(values)}, {expression})"


def _is_real(number: float) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False


def _ordered(op: str, value: Scalar, reading: Reading, binder: Binder) -> str:
    if isinstance(value, str):
        return reading.text_that(lambda text: f"{text} {_SIGNS[op]} {binder.text(value)}")
    assert not isinstance(value, Moment)  # noqa: S101 - times have columns of their own
    # Integers are compared as integers: no step between them is lost.
    bound = binder.whole(max(_LEAST, min(_MOST, _whole_bound(op, value))))
    sign = _SIGNS[op]
    real = binder.number(value) if isinstance(value, float) else _real_bound(value, binder)
    return (
        f"(ifNull({reading.integer()} {sign} {bound}, 0) OR ifNull({reading.large()} {sign} {bound}, 0)"
        f" OR ifNull({reading.real()} {sign} {real}, 0))"
    )


def _whole_bound(op: str, value: float) -> int:
    if isinstance(value, int):
        return value
    return math.floor(value) if op in ("gt", "lte") else math.ceil(value)


def _real_bound(value: int, binder: Binder) -> str:
    return binder.number(float(value)) if _is_real(value) else binder.whole(value)


def _on_time(op: str, value: object, reading: Reading, binder: Binder) -> str:
    at = f"toUnixTimestamp64Milli({reading.column})"
    moments = [item.ms for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Moment)]
    if op == "between":
        return f"({at} >= {binder.whole(moments[0])} AND {at} <= {binder.whole(moments[1])})"
    if op in _SIGNS:
        return f"({at} {_SIGNS[op]} {binder.whole(moments[0])})"
    return f"has({binder.wholes(moments)}, {at})"
