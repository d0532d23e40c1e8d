"""A sink that comes with Headgate, in the forwarder's own process."""

import asyncio
from collections.abc import Callable
from typing import Any

from headgate_sinks import Batch, Outcome, Result, Sink
from headgate_sinks.sdk.host import Broken

from headgate_service.delivery.attempt import attempt, checked

_OPEN_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


class InProcessSink:
    """Opens the sink before its first use, and gives up what takes too long. `known` is set from the start."""

    def __init__(self, sink: Sink[Any]) -> None:
        self._sink = sink
        self._opening = asyncio.Lock()
        self._opened = False
        self.spec = sink.spec
        self.limits = sink.limits
        self.when_full = sink.spec.when_full
        self.known = asyncio.Event()
        self.known.set()

    def start(self, on_broken: Callable[[Broken | None], None]) -> None:
        """What could not be made is no InProcessSink."""

    async def write(self, batch: Batch) -> Outcome:
        """Never raises but when cancelled."""
        outcome = await attempt(self._open(), _OPEN_SECONDS)
        if outcome is None:
            outcome = await attempt(self._sink.write(batch), self.spec.write_seconds)
        return checked(outcome, len(batch.events))

    async def check(self) -> Outcome:
        """Never raises but when cancelled."""
        outcome = await attempt(self._sink.check(), _OPEN_SECONDS)
        return Result() if outcome is None else checked(outcome, 0)

    async def close(self) -> None:
        if self._opened:
            await attempt(self._sink.close(), _CLOSE_SECONDS)

    async def _open(self) -> None:
        async with self._opening:
            if not self._opened:
                await self._sink.open()
                self._opened = True
