"""How much of what a sink gets it rejects, so that one that rejects most of it stops."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from enum import Enum, auto

from headgate_sinks import Result

from headgate_service.delivery.log_range import LogRange
from headgate_service.delivery.settlement import shares_of

# A process may crash for reasons of its own: so often, one after the other, is not chance.
CRASHES = 3
# More events in a row than these are not the events' fault.
MAX_GIVEN_UP = 10
PLUGIN_CRASHED = "plugin_crashed"


class Verdict(Enum):
    """What a crash says of the batch that was written."""

    AGAIN = auto()
    HALVE = auto()
    GIVE_UP = auto()
    PAUSE = auto()


class CrashGuard:
    """Of one sink, in all shards. A batch that was there when the process crashed is written alone from then on, so
    that a crash is its own; only those count.

    One that crashes it three times is halved, its halves at their first crash, down to the event, which is given up
    after three. A sink that crashes with ten events in a row, and writes nothing between, is itself at fault: it
    pauses.
    """

    def __init__(self) -> None:
        self._given_up = 0

    def written(self) -> None:
        """The sink can write."""
        self._given_up = 0

    def judge(self, events: int, crashes: int, suspect: bool, may_pause: bool) -> Verdict:
        """Of a batch of so many events with which it crashed so often while it wrote nothing else. `suspect`: it is
        part of one that was halved for this."""
        if events > 1:
            return Verdict.HALVE if crashes >= (1 if suspect else CRASHES) else Verdict.AGAIN
        if crashes < CRASHES:
            return Verdict.AGAIN
        if may_pause and self._given_up >= MAX_GIVEN_UP:
            return Verdict.PAUSE
        self._given_up += 1
        return Verdict.GIVE_UP


WINDOW_EVENTS = 100


class RejectionGuard:
    """Of one project at a sink. Looks at the latest settled batches that together hold at least 100 of its events. A
    sink that rejected half of these or more rejects too much; of fewer events nothing is said."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()

    def add(self, events: int, result: Result) -> None:
        """Takes a batch that was settled."""
        self._batches.append((events, _rejected(result)))
        while sum(count for count, _ in self._batches) - self._batches[0][0] >= WINDOW_EVENTS:
            self._batches.popleft()

    def too_many(self, events: int, result: Result) -> str | None:
        """What to say where, with this batch, too much is rejected by a result that rejects; None: it is not."""
        rejected = _rejected(result)
        if not rejected:
            return None
        seen, lost = _latest([(events, rejected), *reversed(self._batches)])
        if seen < WINDOW_EVENTS or 2 * lost < seen:
            return None
        last = result.rejected[-1]
        return f"it rejects too much, {lost} of the last {seen} events: the last with {last.code}: {last.message}"


_PROJECTS = 10_000


class RejectionGuards:
    """A guard for each project at a sink, so that none stops another. Of the projects of long ago it knows nothing."""

    def __init__(self) -> None:
        self._guards: OrderedDict[str, RejectionGuard] = OrderedDict()

    def add(self, log_ranges: Sequence[LogRange], result: Result) -> None:
        """Takes a batch that was settled."""
        for project_id, (events, own) in shares_of(log_ranges, result).items():
            self._of(project_id).add(events, own)

    def too_many(self, log_ranges: Sequence[LogRange], result: Result) -> dict[str, str]:
        """The projects of which, with this batch, too much is rejected, with what to say."""
        if not result.rejected:
            return {}
        found = {
            project_id: self._of(project_id).too_many(events, own)
            for project_id, (events, own) in shares_of(log_ranges, result).items()
        }
        return {project_id: said for project_id, said in found.items() if said is not None}

    def _of(self, project_id: str) -> RejectionGuard:
        guard = self._guards.setdefault(project_id, RejectionGuard())
        self._guards.move_to_end(project_id)
        if len(self._guards) > _PROJECTS:
            self._guards.popitem(last=False)
        return guard


def _rejected(result: Result) -> int:
    return len({place for reject in result.rejected for place in reject.events})


def _latest(batches: Iterable[tuple[int, int]]) -> tuple[int, int]:
    seen = lost = 0
    for events, rejected in batches:
        if seen >= WINDOW_EVENTS:
            break
        seen, lost = seen + events, lost + rejected
    return seen, lost
