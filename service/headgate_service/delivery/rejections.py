"""How much of what a sink gets it rejects, so that one that rejects most of it stops."""

from collections import deque
from collections.abc import Iterable

from headgate_sinks import Result

WINDOW_EVENTS = 100


class Rejections:
    """Looks at the latest settled batches that together hold at least 100 events. A sink that rejected half of these or
    more rejects too much; of fewer events nothing is said."""

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


def _rejected(result: Result) -> int:
    return len({place for reject in result.rejected for place in reject.events})


def _latest(batches: Iterable[tuple[int, int]]) -> tuple[int, int]:
    seen = lost = 0
    for events, rejected in batches:
        if seen >= WINDOW_EVENTS:
            break
        seen, lost = seen + events, lost + rejected
    return seen, lost
