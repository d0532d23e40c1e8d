"""Messages of one stream, several under way at a time, answered in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

MAX_UNDER_WAY = 64
MAX_BYTES_UNDER_WAY = 8 * 1024 * 1024
"""A message that is larger is under way alone."""

_Answer = TypeVar("_Answer")


class MessageStream(Generic[_Answer]):
    """`answer` is asked for each message, in their order, while answers to those before may still be under way. It
    raises what ends the stream. `ending` returns when nothing more is to be read; what was read is answered."""

    def __init__(self, answer: Callable[[bytes], Awaitable[_Answer]], ending: Awaitable[None]) -> None:
        self._answer = answer
        self._ending = ending
        self._under_way: deque[tuple[asyncio.Future[_Answer], int]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._came = asyncio.Event()

    async def answers(self, messages: AsyncIterator[bytes]) -> AsyncIterator[_Answer]:
        """The answers. Raises what `answer` or `ending` raised, after the answers to what was read before."""
        reading = asyncio.create_task(self._read(messages))
        ending = asyncio.ensure_future(self._ending)
        reading.add_done_callback(lambda _: self._came.set())
        ending.add_done_callback(lambda _: reading.cancel())
        try:
            while not (reading.done() and not self._under_way):
                while self._under_way:
                    yield await self._first()
                if not reading.done():
                    self._came.clear()
                    await self._came.wait()
            if ending.done():
                ending.result()
            else:
                reading.result()
        finally:
            reading.cancel()
            ending.cancel()
            for answer, _ in self._under_way:
                answer.cancel()

    async def _first(self) -> _Answer:
        answer, size = self._under_way[0]
        told = await answer
        self._under_way.popleft()
        self._bytes -= size
        self._room.set()
        return told

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            size = len(message)
            while self._under_way and (
                len(self._under_way) >= MAX_UNDER_WAY or self._bytes + size > MAX_BYTES_UNDER_WAY
            ):
                self._room.clear()
                await self._room.wait()
            self._bytes += size
            answer: Any = self._answer(message)
            self._under_way.append((asyncio.ensure_future(answer), size))
            self._came.set()
