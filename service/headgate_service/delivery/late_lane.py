"""A lane whose sink is not known yet: its plugin is being loaded by a process of its own."""

import asyncio
from collections.abc import Callable

from headgate_service.delivery.lane import Lane


class LateLane:
    """A lane from the moment that `known` is set. `make_lane` makes it then."""

    def __init__(self, known: asyncio.Event, make_lane: Callable[[], Lane]) -> None:
        self._known = known
        self._make_lane = make_lane
        self._lane: Lane | None = None
        self._stopping = asyncio.Event()

    def mark(self, project_id: str) -> None:
        # A lane reads at its start what there is.
        if self._lane is not None:
            self._lane.mark(project_id)

    def scan_soon(self) -> None:
        if self._lane is not None:
            self._lane.scan_soon()

    def stop(self) -> None:
        self._stopping.set()
        if self._lane is not None:
            self._lane.stop()

    async def run(self) -> None:
        waiting = [asyncio.create_task(one.wait()) for one in (self._known, self._stopping)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if not self._stopping.is_set():
            self._lane = self._make_lane()
            await self._lane.run()
