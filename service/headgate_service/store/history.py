"""What the store holds of a project by when it was received, read in that order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from headgate.v1 import event_pb2
from headgate_sinks.store.rebuilt import RowsBroken, rebuilt
from headgate_sinks.store.rows import COLUMNS

from headgate_service.errors import StoreFailed
from headgate_service.store.client import Store
from headgate_service.store.schema import TABLE

_FIRST_WINDOW_MS = 60_000
_MAX_WINDOW_MS = 32 * 86_400_000
# So much is read at once, and at least one moment, which may be more.
_EVENTS_AT_ONCE = 2_000
_OF_TIME = (
    " WHERE project_id = {project:String} AND receive_time >= fromUnixTimestamp64Milli({from:Int64})"
    " AND receive_time < fromUnixTimestamp64Milli({to:Int64})"
)
_MOMENTS = (
    "SELECT toUnixTimestamp64Milli(receive_time) AS ms, count() AS events"  # noqa: S608 (a constant)
    f" FROM {TABLE}{_OF_TIME}"
)
# What was received in the same millisecond goes by when it happened, as far as that is known, and is always the same.
_ROWS = f"SELECT {', '.join(COLUMNS)} FROM {TABLE}{_OF_TIME} ORDER BY receive_time, ts, event_id"  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Moment:
    """The events that were received in one millisecond, and the rows that they were read from."""

    ms: int
    events: Sequence[event_pb2.Event]
    rows: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """How many events there are of a time, and when the last of them was received."""

    events: int
    last_ms: int


class History:
    """Reads one store. Times are in milliseconds since 1970, the second of two exclusive. Raises StoreFailed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._windows: dict[str, int] = {}

    async def extent(self, project_id: str, from_ms: int, to_ms: int) -> Extent:
        """What there is of a time."""
        asked = f"SELECT sum(events), max(ms) FROM ({_MOMENTS} GROUP BY ms)"  # noqa: S608 (constants)
        ((events, last),) = await self._store.query(asked, _which(project_id, from_ms, to_ms))
        return Extent(int(events or 0), int(last or 0))

    async def moments(self, project_id: str, from_ms: int, to_ms: int) -> list[Moment]:
        """The first of a time; none where there are no more."""
        start = from_ms
        while start < to_ms:
            window = self._windows.get(project_id, _FIRST_WINDOW_MS)
            end = min(start + window, to_ms)
            counted = await self._store.query(
                f"{_MOMENTS} GROUP BY ms ORDER BY ms LIMIT {_EVENTS_AT_ONCE}", _which(project_id, start, end)
            )
            if not counted:
                if (start := await self._next(project_id, end, to_ms)) < 0:
                    return []
                continue
            events, last_ms = 0, int(counted[0][0])
            for ms, count in counted:
                if events and events + count > _EVENTS_AT_ONCE:
                    break
                events, last_ms = events + int(count), int(ms)
            if events < _EVENTS_AT_ONCE // 4:
                window *= 2
            elif last_ms < end - window // 2:
                window //= 2
            self._windows[project_id] = min(max(window, 1_000), _MAX_WINDOW_MS)
            return await self.between(project_id, start, last_ms + 1)
        return []

    async def between(self, project_id: str, from_ms: int, to_ms: int) -> list[Moment]:
        """All of a time."""
        data = await self._store.read(_ROWS, _which(project_id, from_ms, to_ms), "RowBinary")
        try:
            # So many rows would hold the loop for tenths of a second.
            return await asyncio.to_thread(_moments, data)
        except RowsBroken as error:
            raise StoreFailed(str(error)) from None

    async def _next(self, project_id: str, from_ms: int, to_ms: int) -> int:
        asked = f"SELECT min(ms), count() FROM ({_MOMENTS} GROUP BY ms)"  # noqa: S608 (constants)
        ((first, moments),) = await self._store.query(asked, _which(project_id, from_ms, to_ms))
        return int(first) if moments else -1


def _moments(data: bytes) -> list[Moment]:
    moments: list[Moment] = []
    events: list[event_pb2.Event] = []
    ms, begin, end = -1, 0, 0
    for event, row_end in rebuilt(data):
        received = event.receive_time.ToMilliseconds()
        if events and received != ms:
            moments.append(Moment(ms, events, data[begin:end]))
            events, begin = [], end
        ms, end = received, row_end
        events.append(event)
    return [*moments, Moment(ms, events, data[begin:])] if events else moments


def _which(project_id: str, from_ms: int, to_ms: int) -> dict[str, str | int]:
    return {"project": project_id, "from": from_ms, "to": to_ms}
