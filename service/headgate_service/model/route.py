"""Routes: which events a sink gets, as a CEL expression over the event and its properties."""

import re
from typing import TYPE_CHECKING, Any

import orjson
from headgate.v1 import event_pb2

if TYPE_CHECKING:
    from cel_expr_python.cel import Env

LONGEST = 4096
# A name of its own, not a field: where an expression does not hold it, properties need not be parsed.
_PROPERTIES = re.compile(r"(?<![\w.])properties\b")
_FAULT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_environments: "list[Env]" = []


class RouteInvalid(Exception):
    """What was given is not a route; the message says where and why."""


class RouteFailed(Exception):
    """The route cannot tell about an event, as one that lacks a property the route compares."""


class Route:
    """A checked route. `event` in it is a `headgate.v1.Event`, `properties` its properties as a map.

    Integers in properties are exact up to 64 bits, and doubles beyond. `cost` is what it takes at most, in the units of
    `project_route`; 0: whoever wrote it is trusted.
    """

    def __init__(self, source: str, cost: int = 0) -> None:
        """Raises RouteInvalid."""
        self.source = source
        self.cost = cost
        if len(source) > LONGEST:
            raise RouteInvalid(f"is longer than {LONGEST} characters: shorten it")
        env = _environment()
        try:
            self._expression = env.compile(source)
        # What the library raises for a source it does not take, and for text that is not Unicode.
        except (RuntimeError, TypeError) as error:
            raise RouteInvalid(_fault(str(error))) from None
        found = self._expression.return_type().name()
        if found not in ("BOOL", "DYN"):
            raise RouteInvalid(f'says {found}, not BOOL: make it a condition, such as `event.name == "purchase"`')
        self._reads_properties = _PROPERTIES.search(source) is not None

    def __repr__(self) -> str:
        return f"Route({self.source!r})"

    def serialized(self) -> bytes:
        """The checked expression, as a `google.protobuf.Any` that holds a `cel.expr.CheckedExpr`."""
        checked: bytes = self._expression.serialize()
        return checked

    def takes(self, event: event_pb2.Event) -> bool:
        """Whether the sink gets the event. Raises RouteFailed."""
        data: dict[str, Any] = {"event": event}
        if self._reads_properties:
            data["properties"] = orjson.loads(event.properties_json) if event.properties_json else {}
        try:
            answer = self._expression.eval(data=data)
        # What the library raises where a route goes through too many elements of a list.
        except RuntimeError as error:
            raise RouteFailed(str(error)) from None
        kind = answer.type().name()
        if kind == "BOOL":
            return bool(answer.value())
        if kind == "ERROR":
            raise RouteFailed(str(answer.value()))
        raise RouteFailed(f"it says {kind} of this event, not BOOL")


def narrowed(route: Route | None, further: str) -> Route | None:
    """The route of what a route picks and a further source, where there is one, is true of. Raises RouteInvalid."""
    if not further:
        return route
    own = Route(further)
    # A source may end in a comment.
    return own if route is None else Route(f"({route.source}\n) && ({further}\n)", route.cost)


def _environment() -> "Env":
    # Made once: the library takes 7 MB, and only where there is a route.
    if not _environments:
        try:
            from cel_expr_python import cel
        except ImportError:
            raise RouteInvalid(
                "needs the package cel-expr-python, which is not installed: it has no wheel for this "
                "platform: leave `route` out, or run the forwarder and the service on Linux or an Apple Silicon Mac"
            ) from None
        variables = {"event": cel.Type("headgate.v1.Event"), "properties": cel.Type("map<string, dyn>")}
        _environments.append(cel.NewEnv(variables=variables))
    return _environments[0]


def _fault(text: str) -> str:
    """The library's first complaint, with its place, in one line."""
    found = _FAULT.search(text)
    if found is None:
        return text.partition("\n")[0]
    line, column, message = found.groups()
    place = f"column {column}" if line == "1" else f"line {line}, column {column}"
    return f"{place}: {message}".replace(" (in container '')", "")
