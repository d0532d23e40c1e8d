"""The row of queries while events arrive: how long they take then, beside what they take at rest."""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from headgate_service.store.schema import TABLE

from bench import bodies
from bench.filler import fill
from bench.loaded import http_load
from bench.query_rows import QUESTIONS, FilledUp, filled_up
from bench.row import Figures, Row, Void
from bench.stage import Stage
from bench.stored_events import store_of

PER_SECOND = 20_000
_PER_REQUEST = 100
# How often each question is asked at rest. While events arrive they are asked for as long as the load lasts.
_TIMES = 10
# Until the first events are in the store, and its merges have begun.
_WARM_SECONDS = 5.0
_LONGER = 1.3


Load = Callable[[Stage, FilledUp, float], float]
"""Has events arrive for so many seconds, and gives how many a second were taken."""


def rows(stage: Stage, events: int) -> list[Row]:
    title = f"these questions by turns, while {PER_SECOND:,} events/s"
    return [
        Row(
            "query",
            "while-arriving",
            f"{title} come through log, forwarder and store, {events:,} events",
            partial(_measure, stage, events, _into_log),
        ),
        Row(
            "query",
            "while-arriving-by-http",
            f"{title} come by HTTP, {events:,} events",
            partial(_measure, stage, events, _by_http),
        ),
    ]


@dataclass
class Asked:
    """Milliseconds that each question took, and how many were not answered."""

    took: dict[str, list[float]] = field(default_factory=lambda: {one.name: [] for one in QUESTIONS})
    errors: int = 0

    @property
    def all(self) -> list[float]:
        return [one for times in self.took.values() for one in times]

    def ask(self, filled: FilledUp) -> None:
        """Each question once."""
        # A connection that idled is closed by the gateway.
        filled.connection.close()
        for question in QUESTIONS:
            try:
                self.took[question.name].append(filled.ask(filled.asked(question)) * 1000)
            except Void:
                self.errors += 1


def _measure(stage: Stage, events: int, load: Load) -> Figures:
    filled = filled_up(stage, events)
    # So that caches are warm.
    Asked().ask(filled)
    rest, under = Asked(), Asked()
    began = time.perf_counter()
    for _ in range(_TIMES):
        rest.ask(filled)
    seconds = _WARM_SECONDS + _LONGER * (time.perf_counter() - began)
    with ThreadPoolExecutor(1) as threads:
        arriving = threads.submit(load, stage, filled, seconds)
        time.sleep(_WARM_SECONDS)
        stored = _ask_until(arriving, under, filled)
    filled.up.prepare()
    if not all(rest.took.values()) or not all(under.took.values()):
        raise Void(f"{rest.errors + under.errors} queries were not answered")
    return {
        "p95 ms at rest": p95(rest.all),
        "p95 ms while events arrive": p95(under.all),
        "times": p95(under.all) / p95(rest.all),
        "times, of the worst question": max(p95(under.took[one]) / p95(rest.took[one]) for one in rest.took),
        "events/s accepted": arriving.result(),
        "events/s stored": stored,
        "errors": rest.errors + under.errors,
    }


def _into_log(stage: Stage, filled: FilledUp, seconds: float) -> float:
    began = time.perf_counter()
    filled_in = fill(
        filled.up.redis_url, [filled.up.default_project()], int(PER_SECOND * seconds), per_second=PER_SECOND
    )
    return filled_in.events / (time.perf_counter() - began)


def _by_http(stage: Stage, filled: FilledUp, seconds: float) -> float:
    body = bodies.realanalytics(_PER_REQUEST)
    # A batch comes from one client.
    body = replace(body, text=re.sub(r"user_\d+_", "user_", body.text))
    load = http_load(filled.up, body, stage, (filled.up.public,))
    measured = stage.load(replace(load, seconds=seconds, rate=PER_SECOND / _PER_REQUEST))
    return measured.per_second * _PER_REQUEST


def _ask_until(arriving: "Future[float]", asked: Asked, filled: FilledUp) -> float:
    """Events that were stored a second meanwhile."""
    before, began = _stored(filled), time.perf_counter()
    after, ends = before, began
    while not arriving.done():
        asked.ask(filled)
        if not arriving.done():
            after, ends = _stored(filled), time.perf_counter()
    return (after - before) / (ends - began) if after > before else 0.0


def p95(times: list[float]) -> float:
    """The nearest of them."""
    ordered = sorted(times)
    return ordered[(len(ordered) * 95 + 99) // 100 - 1]


def _stored(filled: FilledUp) -> int:
    async def count() -> int:
        async with store_of(filled.up) as store:
            ((found,),) = await store.query(f"SELECT count() FROM {TABLE}")  # noqa: S608 (a constant)
            return int(found)

    return asyncio.run(count())
