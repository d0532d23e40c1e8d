"""What was settled lately, should Redis forget it: a failover to a replica that lagged sends nothing twice."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from headgate_service.delivery.settlement import ProjectSettlement

_SECONDS = 120.0
_RECORDS = 500
_LETTER_BYTES = 4 * 1024 * 1024
_LANES = 4096


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of events that begin right after the ordinals `starts`, by project. `number` is the batch that ended
    with it; None: there was none."""

    starts: Mapping[str, int]
    projects: Sequence[ProjectSettlement]
    number: int | None
    time: float

    @property
    def size(self) -> int:
        """Bytes of events in its dead letters."""
        return sum(len(letter.event) for one in self.projects for letter in one.letters)


class LaneSettlements:
    """Of one sink in one shard, the oldest first."""

    def __init__(self) -> None:
        self._settled: deque[Settled] = deque()
        self._size = 0

    def __iter__(self) -> Iterator[Settled]:
        return iter(tuple(self._settled))

    def add(self, settled: Settled) -> None:
        """Takes one that is about to be recorded."""
        self._settled.append(settled)
        self._size += settled.size
        while (
            len(self._settled) > _RECORDS
            or self._settled[0].time < settled.time - _SECONDS
            or (self._size > _LETTER_BYTES and len(self._settled) > 1)
        ):
            self._size -= self._settled.popleft().size

    def forget(self, project_ids: Iterable[str]) -> None:
        """Some of their events were counted otherwise."""
        gone = set(project_ids)
        self._settled = deque(one for one in self._settled if gone.isdisjoint(one.starts))
        self._size = sum(one.size for one in self._settled)


class RecentSettlements:
    """Of all lanes of a forwarder. They outlast the lanes: a failover may take longer than a lease."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[tuple[str, str, int], LaneSettlements] = OrderedDict()

    def of(self, epoch: str, sink: str, shard: int) -> LaneSettlements:
        """Those of a lane."""
        lane = self._lanes.setdefault((epoch, sink, shard), LaneSettlements())
        self._lanes.move_to_end((epoch, sink, shard))
        if len(self._lanes) > _LANES:
            self._lanes.popitem(last=False)
        return lane
