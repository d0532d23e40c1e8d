"""What differs between a project's active config and another one, counted over stored events."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headgate.v1 import event_pb2

from headgate_service.policy.differences import changed_paths, is_kept, judged, outcome
from headgate_service.policy.policy import Policy
from headgate_service.route import Route, RouteFailed, RouteInvalid

# Event names and paths are the senders' to make up.
MOST_KINDS = 1_000


@dataclass(slots=True)
class SinkReach:
    """Events that a sink gets by each config, and which of them only by one."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(slots=True)
class Comparison:
    """`outcomes` counts the events that the two do not treat alike by name and both outcomes, `paths` where events that
    both keep would be stored otherwise. Routes see an event as each policy leaves it, as the sinks' do."""

    before: Policy
    after: Policy
    events: int = 0
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    sinks: dict[str, SinkReach] = field(default_factory=dict)
    _routes: tuple[Mapping[str, Route | None], Mapping[str, Route | None]] = ({}, {})

    def __post_init__(self) -> None:
        self._routes = _routes(self.before), _routes(self.after)
        self.sinks = {name: SinkReach() for routes in self._routes for name in routes}

    def add(self, events: Iterable[event_pb2.Event]) -> None:
        for event in events:
            self.events += 1
            (said, one), (would_say, other) = judged(self.before, event), judged(self.after, event)
            if said != would_say:
                _count(self.outcomes, (event.name, outcome(said), outcome(would_say)))
            if is_kept(said) and is_kept(would_say):
                for path in changed_paths(one, other):
                    _count(self.paths, path)
            for name, reach in self.sinks.items():
                gets = is_kept(said) and _takes(self._routes[0], name, one)
                would_get = is_kept(would_say) and _takes(self._routes[1], name, other)
                reach.before += gets
                reach.after += would_get
                reach.gained += would_get and not gets
                reach.lost += gets and not would_get


def _routes(policy: Policy) -> dict[str, Route | None]:
    routes: dict[str, Route | None] = {}
    for sink in policy.config.sinks:
        # One that this release cannot read gets nothing: its sink is BROKEN.
        with contextlib.suppress(RouteInvalid):
            routes[sink.name] = None if sink.route is None else Route(sink.route)
    return routes


def _takes(routes: Mapping[str, Route | None], name: str, event: event_pb2.Event) -> bool:
    if name not in routes:
        return False
    route = routes[name]
    try:
        return route is None or route.takes(event)
    except RouteFailed:
        return False


def _count(counter: Counter[str] | Counter[tuple[str, str, str]], kind: object) -> None:
    if kind in counter or len(counter) < MOST_KINDS:
        counter[kind] += 1  # type: ignore[index]  # each counter is asked with its own kind
