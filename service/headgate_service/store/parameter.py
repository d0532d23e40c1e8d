"""Values as ClickHouse reads those of parameters: escaped as in a line of TabSeparated."""

from collections.abc import Sequence


class Identifier(str):
    """The name of a column, or of a part of one, which ClickHouse reads as it stands."""

    __slots__ = ()


Parameter = str | int | float | Sequence[str] | Sequence[int] | Sequence[float]

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
_IN_QUOTES = _ESCAPES | {ord("'"): "\\'"}


def written(value: Parameter) -> str:
    """The text of `param_x`."""
    if isinstance(value, Identifier):
        return str(value)
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_element, value)) + "]"
    return _number(value)


def _element(value: str | float) -> str:
    return "'" + value.translate(_IN_QUOTES) + "'" if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return repr(int(value)) if isinstance(value, bool) else repr(value)
