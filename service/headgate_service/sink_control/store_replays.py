"""What a replay from the store would send, by project."""

import asyncio
from collections.abc import Callable, Sequence

from headgate.v1 import delivery_pb2

from headgate_service.directory.project import Project
from headgate_service.log.position import Position
from headgate_service.model.route import Route
from headgate_service.sink_control.replays import MAX_LOOKED_AT, takes
from headgate_service.store.history import History


class StoreReplays:
    """Raises StoreFailed. Times are in milliseconds since 1970."""

    def __init__(self, history: History, now_ms: Callable[[], int]) -> None:
        self._history = history
        self._now_ms = now_ms

    async def ranges(
        self, projects: Sequence[Project], from_ms: int, to_ms: int
    ) -> list[tuple[Position, delivery_pb2.StoredReplayRange]]:
        """What the store holds that was received from one time until before another, or now, by project."""
        from_ms, to_ms = max(from_ms, 1), min(to_ms, self._now_ms())
        begin = Position(f"{from_ms - 1}-0", 0, 0)
        parts: list[tuple[Position, delivery_pb2.StoredReplayRange]] = []
        for project in projects:
            extent = await self._history.extent(project.id, from_ms, to_ms)
            if extent.events:
                part = delivery_pb2.StoredReplayRange(
                    project_id=project.id,
                    shard=project.shard,
                    last_seq=extent.events,
                    last_entry=f"{extent.last_ms}-0",
                    from_ms=from_ms,
                    to_ms=to_ms,
                )
                parts.append((begin, part))
        return parts

    async def picked(
        self, parts: Sequence[tuple[Position, delivery_pb2.StoredReplayRange]], route: Route
    ) -> tuple[int, int]:
        """How many of the first events of a selection a route picks, and how many it was asked of."""
        picked = looked_at = 0
        for _, part in parts:
            start = part.from_ms
            while looked_at < MAX_LOOKED_AT and (
                moments := await self._history.moments(part.project_id, start, part.to_ms)
            ):
                for moment in moments:
                    looked_at += len(moment.events)
                    picked += sum(takes(route, event) for event in moment.events)
                    # It is asked of many: others have their turn.
                    await asyncio.sleep(0)
                start = moments[-1].ms + 1
        return picked, looked_at
