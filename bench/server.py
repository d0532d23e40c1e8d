"""What a load is sent to, and how it is started and ended."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class NotStarted(Exception):
    """A server did not get ready; the message holds the end of its log."""


class Server(Protocol):
    """Something that runs, in one or more named processes, and takes HTTP requests."""

    host: str
    port: int

    def pids(self) -> dict[str, int]:
        """Each process's name and id."""

    def prepare(self) -> None:
        """Leaves nothing of an earlier load that the next would feel."""

    def stop(self) -> None:
        """Ends it and removes what it left."""


def start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Runs a command with its words in `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Raises NotStarted where the process ends first, or takes too long."""
    ends = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > ends:
            raise NotStarted(f"{process.args!r} did not get ready: {tail(log)}")
        time.sleep(0.005)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process as an operator would, and for good where it does not follow."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    process.wait()


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
