"""A webhook endpoint that has outages."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tests.end_to_end.test_kill import Target

Outage = Literal["error", "reset", "silence", "taken"]


@dataclass
class FaultyTarget(Target):
    """During an outage it answers 500, resets connections, does not answer, or takes a batch and does not say so."""

    outage: Outage | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, outage: Outage) -> None:
        self.outage = outage
        self._over.clear()

    def end(self) -> None:
        self.outage = None
        self._over.set()

    async def _take(self, request: web.Request) -> web.Response:
        outage = self.outage
        if outage is None:
            return await super()._take(request)
        if outage == "error":
            return web.Response(status=500)
        if outage == "taken":
            await super()._take(request)
        if outage == "silence":
            await self._over.wait()
        elif request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
