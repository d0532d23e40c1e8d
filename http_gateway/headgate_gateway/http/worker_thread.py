"""Takes off the event loop what would hold it for long: to decode and parse a large body.

Beside one client that sends one body after the other, a small request took (ranges of three runs, on one noisy core):

    the other's body   in the event loop: p99, longest   in this thread: p99, longest
    0.3 MB             20-32 ms, 47-61 ms                7-18 ms, 21-52 ms
    4.2 MB, gzip       150-770 ms, 180-770 ms            23-46 ms, 34-105 ms
    20 MB, gzip        240-410 ms, 430-650 ms            48-49 ms, 64-82 ms

What remains is the interpreter's lock: orjson holds it while it decodes, Python gives it up every 5 ms.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class WorkerThreadBusy(Exception):
    """So much waits for the thread that more would wait too long."""


class WorkerThread:
    """One thread, as more of them would only fight over the interpreter's lock.

    `waiting`: how many pieces of work may be under way.
    """

    def __init__(self, waiting: int = 32) -> None:
        self._waiting = waiting
        self._under_way = 0
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="side")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do `work` there and return or raise what it does; WorkerThreadBusy at once where too much waits."""
        if self._under_way >= self._waiting:
            raise WorkerThreadBusy
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*args, **kwargs))
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Forget what waits; what runs may end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
