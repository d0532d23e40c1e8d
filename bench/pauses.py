"""How long the machine itself takes a core away, as a host does that others share: nobody's p99 is below that."""

import os
import time
from collections.abc import Iterable

# Of whoever runs so for longer in a second, the kernel itself takes the rest (sched_rt_runtime_us).
_SECONDS = 0.8
_REST_SECONDS = 0.4
# Shorter ones may be an interrupt's.
_PAUSE_SECONDS = 0.0005


def pauses(cores: Iterable[int]) -> dict[str, str]:
    """For each core, of most of a second in which nothing else may run on it: what was lost all the same, and the
    longest pause. Empty where the right to run so (CAP_SYS_NICE) is missing."""
    before = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return {}
    try:
        return {f"core {core}": _on(core) for core in cores}
    finally:
        os.sched_setscheduler(0, before[1], before[2])
        os.sched_setaffinity(0, before[0])


def _on(core: int) -> str:
    os.sched_setaffinity(0, {core})
    time.sleep(_REST_SECONDS)
    found: list[float] = []
    last = time.perf_counter()
    ends = last + _SECONDS
    while last < ends:
        now = time.perf_counter()
        if now - last > _PAUSE_SECONDS:
            found.append(now - last)
        last = now
    return f"{sum(found) / _SECONDS:.1%} lost, longest pause {max(found, default=0) * 1000:.1f} ms"
