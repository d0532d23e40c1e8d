"""The tree of a compiled CEL expression, out of its serialized `cel.expr.CheckedExpr`.

The public schema of that message has more than is needed here; the wire format is read directly, by field number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

_ANY_VALUE, _CHECKED_EXPR = 2, 4


class Kind(IntEnum):
    """What a node is; the value is its field number in `cel.expr.Expr`."""

    CONSTANT = 3
    IDENTIFIER = 4
    SELECT = 5
    CALL = 6
    LIST = 7
    STRUCT = 8
    COMPREHENSION = 9


_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Node:
    """`name` is a call's function, a struct's message (empty: a map) or empty; `text` is that of a constant string.

    The children of a call with a target begin with it. `test_only`: a select that is asked whether the field is there.
    Those of a comprehension are left out.
    """

    kind: Kind
    children: tuple["Node", ...] = ()
    name: str = ""
    text: str | None = None
    test_only: bool = False


class ExpressionUnreadable(ValueError):
    """The bytes are no such expression."""


class ExpressionTooLarge(ValueError):
    """The expression has more nodes than were asked for."""


def read_expression(serialized: bytes, max_nodes: int) -> Node:
    """Raises ExpressionUnreadable, ExpressionTooLarge. It recurses once a level: `max_nodes` bounds that too."""
    checked = _last(serialized, _ANY_VALUE)
    return _Reader(max_nodes).node(_last(checked, _CHECKED_EXPR))


class _Reader:
    def __init__(self, max_nodes: int) -> None:
        self._nodes_left = max_nodes

    def node(self, data: bytes) -> Node:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise ExpressionTooLarge
        for number, value in _fields(data):
            if isinstance(value, bytes) and number in _KINDS:
                return self._node_of(Kind(number), value)
        raise ExpressionUnreadable("a node has no kind")

    def _node_of(self, kind: Kind, data: bytes) -> Node:
        name, text, test_only = "", None, False
        children: list[Node] = []
        for number, value in _fields(data):
            match (kind, number), value:
                case (Kind.CONSTANT, 6), bytes(text_bytes):
                    text = text_bytes.decode()
                case (((Kind.SELECT, 1) | (Kind.CALL, 1 | 3) | (Kind.LIST, 1)), bytes(child)):
                    children.append(self.node(child))
                case (((Kind.CALL, 2) | (Kind.STRUCT, 1)), bytes(name_bytes)):
                    name = name_bytes.decode()
                case (Kind.SELECT, 3), int(flag):
                    test_only = bool(flag)
                case (Kind.STRUCT, 2), bytes(item):
                    for part, side in _fields(item):
                        # A map's key and any value; a message's field is named.
                        if part in (3, 4) and isinstance(side, bytes):
                            children.append(self.node(side))
        return Node(kind, tuple(children), name, text, test_only)


def _last(data: bytes, wanted: int) -> bytes:
    found = [value for number, value in _fields(data) if number == wanted]
    if not found or not isinstance(found[-1], bytes):
        raise ExpressionUnreadable(f"field {wanted} is missing")
    return found[-1]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: their numbers, and an int for a varint, else bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(data, at)
            case 5:
                size = 4
            case wire_type:
                raise ExpressionUnreadable(f"wire type {wire_type}")
        if at + size > len(data):
            raise ExpressionUnreadable("a field is cut off")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ExpressionUnreadable("a number is cut off")
