"""One process that is kept running."""

import asyncio
import contextlib
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog


@dataclass(frozen=True)
class Backoff:
    """Waits that double from `first` to `longest` seconds, each cut at random so that children do not march in step."""

    first: float = 0.2
    longest: float = 15.0
    jitter: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, at least one: from half of the doubled wait to all of it."""
        whole: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + self.jitter() / 2)


READY_POLL = 0.05
LOOK_SECONDS = 1.0
# What one look may count for: when this process was stopped or starved, so may its children have been.
MAX_LOOK = 5.0
log = structlog.get_logger()


class ChildHopeless(Exception):
    """A child cannot be run, or has ended too often without ever becoming ready."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run, how to tell that it serves, and how long it may take.

    `handover` is what it is given on its standard input, which then stays open: its end tells the child that its parent
    is gone. None: it reads nothing. `held` are file descriptors it inherits. `stale` are files that its last life may
    have left behind. `silence`: once it serves, it is killed and started again when it has not answered for so long.
    It answers by writing to its standard input, a socket, or where `alive` is given, by that. None: it may be silent.
    `beside`: those that follow are started without waiting for it. Times are in seconds.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    pid_file: Path
    handover: bytes | None = field(default=None, repr=False)
    held: tuple[int, ...] = ()
    stale: tuple[Path, ...] = ()
    start_deadline: float = 60.0
    grace: float = 30.0
    silence: float | None = None
    alive: Callable[[], Awaitable[bool]] | None = None
    beside: bool = False


@dataclass
class Child:
    """Runs a spec over and over. `attempts`: starts that may fail before it was ever ready."""

    spec: ChildSpec
    backoff: Backoff = field(default_factory=Backoff)
    attempts: int = 5
    stable_after: float = 30.0
    clock: Callable[[], float] = time.monotonic
    serving: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Make `run` end the process, with SIGTERM first and SIGKILL once its grace is over, and return."""
        self._stop.set()

    async def run(self) -> None:
        """Start it and start it again until `stop`. Raises ChildHopeless if it never gets ready."""
        failures, was_ready = 0, False
        while not self._stop.is_set():
            started = self.clock()
            try:
                status = await self._run_once()
            except OSError as error:
                if not was_ready:
                    raise ChildHopeless(f"{self.spec.name}: {self.spec.command[0]} cannot be run: {error}") from error
                # It could be before: a full disk or a full process table passes, and then all goes on.
                status = f"{error} at its start"
            served = self.serving.is_set()
            was_ready = was_ready or served
            self.serving.clear()
            if self._stop.is_set():
                log.info("child ended", child=self.spec.name, status=status)
                return
            if served and status == _CLEAN:
                # Somebody asked it to end, by a signal: whoever wants it gone stops this process.
                failures = 0
                log.info("child ended and is started again", child=self.spec.name, status=status)
                continue
            failures = 1 if self.clock() - started >= self.stable_after else failures + 1
            if not was_ready and failures >= self.attempts:
                raise ChildHopeless(
                    f"{self.spec.name} ended {failures} times without becoming ready, at last by {status}: "
                    "what it wrote above says why"
                )
            delay = self.backoff.delay(failures)
            log.error(
                "child died and is started again",
                child=self.spec.name,
                status=status,
                failures=failures,
                wait_seconds=round(delay, 2),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)

    async def _run_once(self) -> str:
        for file in self.spec.stale:
            file.unlink(missing_ok=True)
        own, theirs = socket.socketpair()
        own.setblocking(False)
        with own:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self.spec.command,
                    stdin=asyncio.subprocess.DEVNULL if self.spec.handover is None else theirs.fileno(),
                    # Standard output is kept for the line that says everything serves.
                    stdout=sys.stderr,
                    pass_fds=self.spec.held,
                    # Ctrl-C reaches a terminal's whole group: only the parent may take it, to end its children in
                    # order.
                    start_new_session=True,
                )
            try:
                _write_whole(self.spec.pid_file, f"{process.pid}\n")
                log.info("child started", child=self.spec.name, pid=process.pid)
                async with asyncio.TaskGroup() as tasks:
                    helpers = [
                        tasks.create_task(self._watch(process, own)),
                        tasks.create_task(self._end_when_asked(process)),
                        tasks.create_task(self._hand_over(own)),
                    ]
                    await process.wait()
                    for helper in helpers:
                        helper.cancel()
                return exit_status(process.returncode)
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                self.spec.pid_file.unlink(missing_ok=True)

    async def _hand_over(self, channel: socket.socket) -> None:
        if self.spec.handover is not None:
            # A child that ended before it read shows by its status.
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(channel, self.spec.handover)

    async def _watch(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        try:
            async with asyncio.timeout(self.spec.start_deadline):
                while not await self.spec.ready():  # noqa: ASYNC110 (another process sets no event of ours)
                    await asyncio.sleep(READY_POLL)
        except TimeoutError:
            log.error("child is not ready in time", child=self.spec.name, seconds=self.spec.start_deadline)
            process.kill()
        else:
            self.serving.set()
            if self.spec.silence is not None:
                await self._until_silent(self.spec.silence, channel)
                log.error("child does not answer and is killed", child=self.spec.name, seconds=self.spec.silence)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    async def _until_silent(self, seconds: float, channel: socket.socket) -> None:
        silent, looked = 0.0, self.clock()
        while silent < seconds:
            await asyncio.sleep(LOOK_SECONDS)
            alive = await self.spec.alive() if self.spec.alive else _has_written(channel)
            since, looked = looked, self.clock()
            # A child that ends is watched by its grace.
            silent = 0.0 if alive or self._stop.is_set() else silent + min(looked - since, MAX_LOOK)

    async def _end_when_asked(self, process: asyncio.subprocess.Process) -> None:
        await self._stop.wait()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.sleep(self.spec.grace)
        log.error("child did not end in time", child=self.spec.name, seconds=self.spec.grace)
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _has_written(channel: socket.socket) -> bool:
    try:
        return bool(channel.recv(65536))
    except OSError:
        return False


def _write_whole(file: Path, text: str) -> None:
    # Whoever reads a pid to kill it must never read a part of one.
    part = file.with_name(f"{file.name}.part")
    part.write_text(text)
    part.replace(file)


def exit_status(code: int | None) -> str:
    """An exit status in words."""
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"


_CLEAN = exit_status(0)
