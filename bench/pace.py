"""When requests are sent: as fast as they are answered, or at times that were fixed beforehand."""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

DRAIN_SECONDS = 20.0
# Not measured of a load at a fixed rate: a server accepts 128 connections meanwhile, and what waited for that would
# stand in the p99 of a load of two seconds.
WARM_UP_SECONDS = 0.3
# A timer of the event loop is late by up to this; nearer than it, the loop spins.
_TIMER_SECONDS = 0.002


class Lane(Protocol):
    """A place where one request at a time may be under way; a lost one can send no more."""

    lost: bool

    def send(self) -> None:
        """Sends the next request; its answer is told to `Pace.answered`."""


@dataclass
class Measured:
    """Answers by status, those that came in time per second, and how long they took, in milliseconds.

    `load_busy`: the share of the time for which the load itself had its core; near 1, it is the load that was measured.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    load_busy: float = 0.0


class Pace:
    """Sends over the lanes for some seconds, then waits for what is under way.

    `rate` None: each lane sends again as soon as it was answered, and a request's time starts when it is sent. Else
    requests fall due at random (Poisson) so many a second on average, whether or not earlier ones were answered; one
    that finds no lane free waits for one, and its time starts when it fell due. The first of them are warm-up.
    """

    def __init__(self, seconds: float, rate: float | None) -> None:
        self._seconds = seconds
        self._rate = rate
        self._due: dict[Lane, float] = {}
        # By turns: one that idles for long is closed by its server.
        self._idle: deque[Lane] = deque()
        self._waiting: deque[float] = deque()
        self._took: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._in_time = 0
        self._begins = 0.0
        self._ends = 0.0

    def answered(self, lane: Lane, status: str) -> None:
        now = time.perf_counter()
        self._statuses[status] += 1
        due = self._due.pop(lane)
        if due >= self._begins:
            self._took.append(now - due)
        if self._begins <= now < self._ends:
            self._in_time += 1
        if lane.lost:
            return
        if self._waiting:
            self._start(lane, self._waiting.popleft())
        elif self._rate is None and now < self._ends:
            self._start(lane, now)
        else:
            self._idle.append(lane)

    def _start(self, lane: Lane, due: float) -> None:
        self._due[lane] = due
        lane.send()

    async def run(self, lanes: Sequence[Lane]) -> Measured:
        self._idle = deque(lanes)
        start, own = time.perf_counter(), time.process_time()
        self._begins = start if self._rate is None else start + WARM_UP_SECONDS
        self._ends = self._begins + self._seconds
        if self._rate is None:
            while self._idle:
                self._start(self._idle.popleft(), time.perf_counter())
            await asyncio.sleep(self._seconds)
        else:
            await self._send_when_due(start, self._rate)
        busy = (time.process_time() - own) / (self._ends - start)
        await self._drain()
        took = sorted(self._took)
        p50, p99, p999 = (_at(took, share) * 1000 for share in (0.5, 0.99, 0.999))
        return Measured(dict(self._statuses), self._in_time / self._seconds, p50, p99, p999, busy)

    async def _send_when_due(self, start: float, rate: float) -> None:
        gaps = random.Random(0)  # noqa: S311 (the same arrivals in every run)
        due = start + gaps.expovariate(rate)
        while due < self._ends:
            left = due - time.perf_counter()
            if left > 0:
                await asyncio.sleep(max(left - _TIMER_SECONDS, 0))
                continue
            if self._idle:
                self._start(self._idle.popleft(), due)
            else:
                self._waiting.append(due)
            due += gaps.expovariate(rate)

    async def _drain(self) -> None:
        ends = time.perf_counter() + DRAIN_SECONDS
        while self._due and time.perf_counter() < ends:
            await asyncio.sleep(0.01)
        if unanswered := len(self._due) + len(self._waiting):
            self._statuses["unanswered"] = unanswered


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
