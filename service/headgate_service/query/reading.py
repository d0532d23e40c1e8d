"""How the value of a key is read in SQL.

Properties are one JSON column, whose paths the engine stores as columns of their own by the type of their values. A dot
within a key is written `%2E` there, so that `{"a.b": 1}` and `{"a": {"b": 1}}` are two paths.
"""

import re
from collections.abc import Callable

from headgate_service.query.binder import Binder
from headgate_service.query.key import Key, Kind

# What the engine would take for more than the name of a path. Nobody can ask about such a key; it is as if missing.
_SYNTAX = re.compile(r"(^|\.)[:^]`")

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
        self._paths = [path for path in map(_path, key.places) if not _SYNTAX.search(path)]

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
        """Whether there is a value that is no text, so that `texts_only` would be wrong."""
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
        return self._binder.column(f"properties.{path}")

    def _typed(self, path: str, kind: str) -> str:
        return self._binder.column(f"properties.{path}.:`{kind}`")


def _nothing(kind: str) -> str:
    # As a constant it would be drawn out of a sum, where the engine cannot have it.
    return f"materialize(CAST(NULL, 'Nullable({kind})'))"


def _path(place: tuple[str, ...]) -> str:
    return ".".join(part.replace(".", "%2E") for part in place)
