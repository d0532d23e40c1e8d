"""Filters in SQL. Every expression is 0 or 1, never NULL, so that NOT means what it says."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from headgate_service.query.filter import SYNTAX, AllOf, AnyOf, Condition, Key, Kind, Leaf, Scalar
from headgate_service.query.filter import Not as NotOf
from headgate_service.query.sql import Binder
from headgate_service.query.time import Moment

# Properties are one JSON column. The engine stores each path of it as a column by the type of its values. A dot within
# a key is written `%2E` there, so that `{"a.b": 1}` and `{"a": {"b": 1}}` are two paths.

# A group is named by its type and its value: b0, b1, n and a number, s and a text; the empty text is none.
NO_GROUP = ""
_NUMBER_OF_FLOAT = (
    "if({x} = trunc({x}) AND {x} >= -9223372036854775808. AND {x} < 18446744073709551616.,"
    " if({x} < 0, toString(toInt64({x})), toString(toUInt64({x}))), toString({x}))"
)


class Reading:
    """SQL expressions for one key; all are NULL where the value is of another type or there is none."""

    def __init__(self, key: Key, binder: Binder) -> None:
        self._key = key
        self._binder = binder
        self._paths = [path for path in map(_path, key.places) if not SYNTAX.search(path)]

    @property
    def column(self) -> str:
        """The column of a key that is one."""
        assert self._key.column is not None  # noqa: S101 - only asked of such keys
        return self._key.column

    def text(self) -> str:
        if self._key.kind is Kind.PROPERTY:
            last = f"nullIf({self._key.column}, '')" if self._key.column else "NULL"
            return self._first(lambda path: self._typed(path, "String"), last, "String")
        return f"nullIf({self._key.column}, '')" if self._key.kind is Kind.TEXT else _nothing("String")

    def text_that(self, test: Callable[[str], str]) -> str:
        """Whether there is a text for which `test` holds: 0 or 1. Place by place, which is quicker than to choose one
        first: where the first has a text, most of the others are not read."""
        if self._key.kind is not Kind.PROPERTY:
            return f"ifNull({test(self.text())}, 0)"
        parts, before = [], ""
        for path in self._paths:
            parts.append(f"(ifNull({test(self._typed(path, 'String'))}, 0){before})")
            before += f" AND isNull({self._any(path)})"
        if self._key.column:
            parts.append(f"({self._key.column} != '' AND {test(self._key.column)}{before})")
        return f"({' OR '.join(parts)})" if parts else "0"

    def integer(self) -> str:
        """Int64, which most integers are."""
        return self._number("Int64")

    def large(self) -> str:
        """UInt64: the integers that are too large for Int64."""
        return self._number("UInt64")

    def real(self) -> str:
        return self._number("Float64")

    def flag(self) -> str:
        if self._key.kind is Kind.FLAG:
            return f"CAST({self._key.column}, 'Nullable(Bool)')"
        return self._number("Bool")

    def any_integer(self) -> str:
        return f"ifNull(toInt128({self.integer()}), toInt128({self.large()}))"

    def any_number(self) -> str:
        return f"coalesce({self.real()}, toFloat64({self.integer()}), toFloat64({self.large()}))"

    def present(self) -> str:
        """Whether there is a value at all, of whatever type, an object that holds one too."""
        if self._key.kind in (Kind.FLAG, Kind.TIME):
            return "1"
        parts = [f"{self._key.column} != ''"] if self._key.column else []
        for path in self._paths:
            inside = path.replace("\\", "\\\\").replace("`", "\\`")
            parts += [
                f"isNotNull({self._any(path)})",
                f"notEmpty({self._binder.column(f'properties.^`{inside}`')})",
            ]
        return f"({' OR '.join(parts)})" if parts else "0"

    def group(self, *, texts_only: bool = False) -> str:
        """The value as the name of a group. A list is of no group, as no value is."""
        if self._key.column == "event":
            # Every event has a name.
            return "concat('s', event)"
        if self._key.kind is Kind.TEXT:
            return f"if({self._key.column} = '', '', concat('s', {self._key.column}))"
        if self._key.kind is Kind.FLAG:
            return f"if({self._key.column}, 'b1', 'b0')"
        if texts_only:
            last = [f"nullIf({self._key.column}, '')"] if self._key.column else []
            text = ", ".join([*(self._typed(path, "String") for path in self._paths), *last])
            return f"ifNull(concat('s', coalesce({text})), '')" if text else "''"
        text, whole, large, real, flag = self.text(), self.integer(), self.large(), self.real(), self.flag()
        return (
            f"multiIf(isNotNull({text}), concat('s', assumeNotNull({text})),"
            f" isNotNull({whole}), concat('n', toString(assumeNotNull({whole}))),"
            f" isNotNull({large}), concat('n', toString(assumeNotNull({large}))),"
            f" isNotNull({real}), concat('n', {_NUMBER_OF_FLOAT.format(x=f'assumeNotNull({real})')}),"
            f" isNotNull({flag}), if(assumeNotNull({flag}), 'b1', 'b0'), '')"
        )

    def no_text(self) -> str:
        """Whether there is a value that is not text, so that `texts_only` would be wrong."""
        parts = [f"(isNull({self._typed(path, 'String')}) AND isNotNull({self._any(path)}))" for path in self._paths]
        return f"({' OR '.join(parts)})" if parts else "0"

    def _number(self, kind: str) -> str:
        if self._key.kind is not Kind.PROPERTY:
            return _nothing(kind)
        return self._first(lambda path: self._typed(path, kind), "NULL", kind)

    def _first(self, read: Callable[[str], str], last: str, kind: str) -> str:
        """What `read` gives of the first path that holds a value."""
        if not self._paths:
            return _nothing(kind) if last == "NULL" else last
        if len(self._paths) == 1 and last == "NULL":
            return read(self._paths[0])
        cases = ", ".join(f"isNotNull({self._any(path)}), {read(path)}" for path in self._paths)
        return f"multiIf({cases}, {last})"

    def _any(self, path: str) -> str:
        if not path:
            # The only name that the engine does not take as one.
            return "getSubcolumn(properties, '')"
        return self._binder.column(f"properties.{path}")

    def _typed(self, path: str, kind: str) -> str:
        return self._binder.column(f"properties.{path}.:`{kind}`")


def _nothing(kind: str) -> str:
    # As a constant it would be drawn out of a sum, where the engine cannot have it.
    return f"materialize(CAST(NULL, 'Nullable({kind})'))"


def _path(place: tuple[str, ...]) -> str:
    return ".".join(part.replace("%", "%25").replace(".", "%2E") for part in place)


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
    # As RE2 has it by itself: the dot does not match a line's end.
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
