"""A lane whose sink is not known yet: its plugin is being loaded by a process of its own, or cannot be."""

import asyncio
from collections.abc import Callable

from headgate_service.delivery.lane import Lane


class ExpiringLane(Lane):
    """Promises nothing. Where the sink is one whose backlog expires, what has waited too long is given up; what was
    promised before stays promised as far as it is not."""

    async def _resume(self) -> None:
        await self._load()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        await self._sleep(min(self._next_scan, self._next_expiry) - loop.time())
        if self._stopping.is_set():
            return
        if loop.time() >= self._next_scan:
            await self._scan()
        if loop.time() >= self._next_expiry:
            await self._expire()


class WaitingLane:
    """A lane from the moment that `known` is set, and one that only expires until then."""

    def __init__(
        self, known: asyncio.Event, make_lane: Callable[[], Lane], make_expiring: Callable[[], ExpiringLane]
    ) -> None:
        self._known = known
        self._make_lane = make_lane
        self._lane: Lane = make_expiring()
        self._stopping = False

    def mark(self, project_id: str) -> None:
        self._lane.mark(project_id)

    def scan_soon(self) -> None:
        self._lane.scan_soon()

    def stop(self) -> None:
        self._stopping = True
        self._lane.stop()

    async def run(self) -> None:
        expiring = asyncio.create_task(self._lane.run())
        waiting = asyncio.create_task(self._known.wait())
        try:
            await asyncio.wait([expiring, waiting], return_when=asyncio.FIRST_COMPLETED)
            self._lane.stop()
            await expiring
        finally:
            waiting.cancel()
            expiring.cancel()
        if not self._stopping:
            # It reads at its start what there is.
            self._lane = self._make_lane()
            await self._lane.run()
