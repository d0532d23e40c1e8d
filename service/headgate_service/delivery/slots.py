"""How many writes of a sink there may be at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """As many as the sink declares; one that asks to be alone waits for all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        # Two that each hold some, and wait for those of the other, would wait for ever.
        self._gathering = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, alone: bool) -> AsyncIterator[None]:
        held = 0
        try:
            if alone:
                async with self._gathering:
                    while held < self._count:
                        await self._free.acquire()
                        held += 1
            else:
                await self._free.acquire()
                held = 1
            yield
        finally:
            for _ in range(held):
                self._free.release()
