"""A thread that makes one sink's calls, one after another."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SinkThread:
    """Starts with its first call. It does not keep the process from ending while a call hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._started = False

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises. If this is cancelled, a call that has begun goes on to its end, and the next
        one waits for that; one that has not begun is not made."""
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        self._calls.put((future, lambda: context.run(call)))
        if not self._started:
            self._started = True
            # Not an executor's: those are waited for when the process ends, however long.
            Thread(target=_make_calls, args=(self._calls,), name=self._name, daemon=True).start()
        returned, raised = await asyncio.wrap_future(future)
        if raised is None:
            return cast(T, returned)
        if not isinstance(raised, Exception):
            # `sys.exit` in a plugin must not end the process.
            raise RuntimeError(f"the sink raised {type(raised).__name__}") from raised
        raise raised

    def end(self) -> None:
        """Ends the thread after the calls that wait; the next `run` starts another."""
        if self._started:
            self._started = False
            self._calls.put(None)
            self._calls = SimpleQueue()


def _make_calls(calls: "SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]") -> None:
    while (item := calls.get()) is not None:
        future, call = item
        if not future.set_running_or_notify_cancel():
            continue
        # A plugin's code: whatever it raises belongs to the caller. It is a part of the result, since asyncio takes
        # some exceptions in a future for its own.
        try:
            answer: tuple[Any, BaseException | None] = (call(), None)
        except BaseException as error:  # noqa: BLE001
            answer = (None, error)
        future.set_result(answer)
        del item, future, call, answer
