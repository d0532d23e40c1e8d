"""What a route may say that a project brings. Routes run where everybody's events are delivered, and an evaluation
holds the interpreter until it ends: a route is taken only if its expression cannot take long on any event.

Costs are in units of about 0.3 ms on an event of the largest size.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from headgate_service.model.checked_expression import ExpressionTooLarge, Kind, Node, read_expression
from headgate_service.model.route import Route, RouteInvalid

MAX_CHARACTERS = 1_000
MAX_NODES = 200
MAX_COST = 160

_REPETITION = re.compile(r"\{(\d+)(,?)(\d*)\}")
_ZONE = re.compile(r"[+-]?\d\d:\d\d|[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
# Text to the pattern compiler, thousands of instructions to the matcher: \p{L}; or what hides the rest: \Q...\E.
_UNBOUNDED_ESCAPES = re.compile(r"(?<!\\)(?:\\\\)*\\([pPQC])")
_WIDE = 4
"""Of a part of a pattern that may match in several ways at once, against 1 of a plain character."""


def _free(sizes: Sequence[int]) -> int:
    return 0


_TIME_PARTS = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
)
# What each function costs by the sizes of its arguments; a size is in those of the largest event.
_COSTS: Mapping[str, Callable[[Sequence[int]], int]] = {
    **dict.fromkeys(("_&&_", "_||_", "!_", "_?_:_", "-_", "_-_", "_*_", "_/_", "_%_", "_[_]", "type", "dyn"), _free),
    **dict.fromkeys(("_==_", "_!=_"), lambda sizes: 8 * min(sizes)),
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"), min),
    "@in": lambda sizes: 4 * sizes[1],
    "contains": lambda sizes: sizes[0] * (1 + 12 * sizes[1]),
    **dict.fromkeys(("_+_", "size", "bool", "bytes", "double", "int", "string", "uint"), sum),
    **dict.fromkeys(("duration", "timestamp", *_TIME_PARTS), sum),
}
_GROWING = {"_?_:_", "_[_]", "_+_", "dyn", "string", "bytes"}
"""The answers of all others are small, whatever they are given."""


def project_route(source: str) -> Route:
    """The route that a project's own sink says. Raises RouteInvalid."""
    if len(source) > MAX_CHARACTERS:
        raise RouteInvalid(f"is longer than {MAX_CHARACTERS} characters: shorten it")
    route = Route(source)
    try:
        tree = read_expression(route.serialized(), MAX_NODES)
    except ExpressionTooLarge:
        raise RouteInvalid(f"has more than {MAX_NODES} parts: shorten it") from None
    scale = _Scale()
    scale.weigh(tree)
    if scale.cost > MAX_COST:
        raise RouteInvalid(
            f"could take too long on a large event ({scale.cost} units of {MAX_COST}): use fewer and shorter patterns,"
            " and compare with constants"
        )
    route.cost = scale.cost
    return route


class _Scale:
    """Adds up what an expression costs at most. `weigh` raises RouteInvalid for what no project may use."""

    def __init__(self) -> None:
        self.cost = 0

    def weigh(self, node: Node) -> int:
        """Adds a node's cost and its children's; returns how large its value can be."""
        if node.kind is Kind.COMPREHENSION:
            raise RouteInvalid('goes through a list, as all() and exists() do: use `"x" in properties.list`')
        if node.kind is Kind.STRUCT and node.name:
            raise RouteInvalid(f"builds a {node.name}: compare its fields")
        sizes = []
        for child in node.children:
            sizes.append(self.weigh(child))  # noqa: PERF401  # a comprehension would recurse twice a level
        match node.kind:
            case Kind.CALL:
                return self._weigh_call(node, sizes)
            case Kind.IDENTIFIER:
                return 1
            case Kind.SELECT if node.test_only:
                return 0
        return sum(sizes)

    def _weigh_call(self, node: Node, sizes: Sequence[int]) -> int:
        if node.name == "matches":
            self.cost += max(sizes[0], 1) * pattern_cost(_constant(node, "pattern"))
            return 0
        if node.name in _TIME_PARTS and len(node.children) > 1 and not _ZONE.fullmatch(_constant(node, "time zone")):
            raise RouteInvalid(f'{node.name}() takes a time zone such as "Europe/Berlin" or "+02:00"')
        cost = _COSTS.get(node.name)
        if cost is None:
            raise RouteInvalid(f"uses {node.name}(), which a project's route may not")
        self.cost += cost(sizes)
        return sum(sizes) if node.name in _GROWING else 0


def _constant(call: Node, what: str) -> str:
    text = call.children[1].text
    if text is None:
        raise RouteInvalid(f"gives {call.name}() a {what} that is not a constant: write it as a text in quotes")
    return text


def pattern_cost(pattern: str) -> int:
    """What matching a pattern against the largest text costs at most. Raises RouteInvalid.

    It errs on the high side: what looks like a repetition counts as one, also where it is escaped.
    """
    if found := _UNBOUNDED_ESCAPES.search(pattern):
        raise RouteInvalid(f"has \\{found[1]} in a pattern, which a project's route may not: use a class as [a-z]")
    plain = _REPETITION.sub("", pattern)
    cost = sum(_WIDE if char in r".[\|?*+" or not char.isascii() else 1 for char in plain)
    times = 1
    for repetition in _REPETITION.finditer(pattern):
        least, comma, most = repetition.groups()
        count = int(most[:5] or least[:5]) + bool(comma and not most)
        # It repeats a character; or a class, which begins nowhere before the first bracket; or what may be as long as
        # the pattern.
        match pattern[max(repetition.start() - 1, 0)]:
            case ")" | "}" | "?" | "*" | "+":
                times *= max(count, 1)
            case "]":
                cost += (_WIDE + repetition.start() - pattern.find("[")) * count
            case _:
                cost += (_WIDE + 1) * count
    return cost * times
