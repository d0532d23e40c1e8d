"""Catches a sink that blocks the event loop, by what it does and not by how long it takes."""

import asyncio
import contextlib
import fcntl
import inspect
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# So many looks in a row without a turn of the loop: the looking thread had the processor each time, the loop did not.
_LOOKS = 100
_LOOK_SECONDS = 0.02
_NAMES = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "http.client.connect", "urllib.Request"})


class LoopBlocked(Exception):
    """A call that waits was made in the event loop, where nothing else can run meanwhile."""


class _Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.thread = threading.get_ident()
        self.loop = loop
        self.blocked: LoopBlocked | None = None

    def report(self, what: str, frame: FrameType | None) -> LoopBlocked:
        where = "".join(traceback.format_stack(frame)[-6:])
        self.blocked = self.blocked or LoopBlocked(
            f"{what} in the event loop, which blocks everything else: await it, call asyncio.to_thread, or make the"
            f" sink a SyncSink\n{where}"
        )
        return self.blocked


_current: _Watch | None = None
_hooked = False


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raises LoopBlocked where the running event loop is blocked by what runs inside. Not to be used in two loops at
    once."""
    global _current, _hooked
    if not _hooked:
        # There is no way to remove it: it looks at nothing while nothing is watched.
        sys.addaudithook(_audit)
        _hooked = True
    if _current is not None:
        # What runs beside it in the same loop is watched already.
        yield
        return
    _current = watch = _Watch(asyncio.get_running_loop())
    ended = threading.Event()
    looking = threading.Thread(target=_look, args=(watch, ended), daemon=True)
    interruptible = threading.current_thread() is threading.main_thread()
    if interruptible:
        before = signal.signal(signal.SIGUSR2, lambda number, frame: _raise(watch.report("a call that waits", frame)))
    looking.start()
    sleep = time.sleep
    if sys.version_info < (3, 13):
        # Later ones audit it.
        time.sleep = _audited(sleep)
    try:
        yield
    finally:
        time.sleep = sleep
        _current = None
        ended.set()
        looking.join()
        if interruptible:
            signal.signal(signal.SIGUSR2, before)
        if watch.blocked is not None:
            raise watch.blocked


def _audited(sleep: Callable[[Any], None]) -> Callable[[Any], None]:
    def audited(seconds: Any) -> None:
        _audit("time.sleep", (seconds,))
        sleep(seconds)

    return audited


def _raise(error: Exception) -> None:
    raise error


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _current
    if watch is None or threading.get_ident() != watch.thread:
        return
    if event == "time.sleep":
        blocks = arguments[0] > 0
    elif event == "socket.connect":
        blocks = arguments[0].gettimeout() != 0
    elif event == "fcntl.flock":
        blocks = not arguments[1] & (fcntl.LOCK_NB | fcntl.LOCK_UN)
    else:
        blocks = event in _NAMES
    if blocks:
        raise watch.report(f"{event}{arguments[1:] if event == 'socket.connect' else ''}", inspect.currentframe())


def _look(watch: _Watch, ended: threading.Event) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    seen, looks = -1, 0
    while not ended.wait(_LOOK_SECONDS):
        if turns != seen:
            seen, looks = turns, 0
            with contextlib.suppress(RuntimeError):
                watch.loop.call_soon_threadsafe(turn)
            continue
        looks += 1
        if looks == _LOOKS:
            watch.report("a call that waits", sys._current_frames().get(watch.thread))  # noqa: SLF001 - there is no other way
            if watch.thread == threading.main_thread().ident:
                signal.pthread_kill(watch.thread, signal.SIGUSR2)
