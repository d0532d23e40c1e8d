"""A lane whose sink writes nothing, because its plugin cannot be loaded or its configuration is wrong."""

import asyncio

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
