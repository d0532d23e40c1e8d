"""A process and all that descend from it, whatever sessions they made for themselves (Linux)."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> list[int]:
    """It and its descendants, elders first."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def send(pids: Iterable[int], number: int) -> None:
    """To each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def freeze(pid: int) -> list[int]:
    """Stop all of them, also those that are started meanwhile."""
    stopped: set[int] = set()
    while new := [one for one in family(pid) if one not in stopped]:
        send(new, signal.SIGSTOP)
        stopped.update(new)
    return list(stopped)


def running(pid: int) -> bool:
    """Whether it is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
