"""What /proc says of processes. Linux only."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its children, those that have ended included."""
    return sum(_own_cpu_seconds(one) for one in _tree(pid))


def resident_bytes(pid: int) -> int:
    """Memory that a process and its children hold."""
    return sum(_own_resident_bytes(one) for one in _tree(pid))


def _own_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # Its own, and that of children it has waited for: the time of a fork that ends must not go away.
    return sum(map(int, fields[11:15])) / _TICK


def _own_resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        found.extend(int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found
