"""Rows of growth: what an event costs as projects, sinks, the backlog and the dedup window grow.

Each is measured at the same modest pace, so that batches are alike, in a `headgate up` of its own.
"""

from dataclasses import replace
from functools import partial

from bench import bodies
from bench.bodies import Body
from bench.filler import fill
from bench.headgate_up import JSONL, NO_SINKS, HeadgateUp, Sinks, many_jsonl, webhook
from bench.loaded import http_load
from bench.many_projects import create_projects
from bench.plain_server import free_port
from bench.proc import cpu_seconds
from bench.row import Figures, Row
from bench.stage import Stage

# Requests a second, of one event each.
_RATE = 500.0


def rows(stage: Stage, backlog: int, ids: int) -> list[Row]:
    return [
        *(
            Row(
                "growth",
                f"projects-{count}",
                f"{count:,} project{_s(count)}, in turn",
                partial(_projects, stage, count),
            )
            for count in (1, 100, 10_000)
        ),
        *(
            Row("growth", f"sinks-{count}", f"{count} jsonl sink{_s(count)}", partial(_sinks, stage, count))
            for count in (1, 10, 100)
        ),
        *(
            Row("growth", f"backlog-{count}", f"{count:,} events wait for a sink", partial(_backlog, stage, count))
            for count in (0, backlog)
        ),
        *(
            Row("growth", f"ids-{count}", f"{count:,} ids in the dedup window", partial(_ids, stage, count))
            for count in (0, ids)
        ),
    ]


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _projects(stage: Stage, count: int) -> Figures:
    # Kept as long as any row lasts: what is dropped within seconds would cost each project a look at its log.
    up = HeadgateUp(stage.cores, JSONL, keep="1h")
    try:
        keys = create_projects(up, count - 1)
        return _cost(stage, up, bodies.realanalytics(1), (up.public, *keys))
    finally:
        up.stop()


def _sinks(stage: Stage, count: int) -> Figures:
    up = HeadgateUp(stage.cores, many_jsonl(count))
    try:
        return _cost(stage, up, bodies.realanalytics(1), (up.public,))
    finally:
        up.stop()


def _backlog(stage: Stage, count: int) -> Figures:
    up = HeadgateUp(stage.cores, webhook(free_port()))
    try:
        fill(up.redis_url, [up.default_project()], count)
        up.sinks = Sinks((), "")  # Nothing listens at the webhook: nothing will ever be settled.
        return _cost(stage, up, bodies.realanalytics(1), (up.public,))
    finally:
        up.stop()


def _ids(stage: Stage, count: int) -> Figures:
    up = HeadgateUp(stage.cores, NO_SINKS)
    try:
        fill(up.redis_url, [up.default_project()], count, with_ids=True)
        return _cost(stage, up, bodies.prompting_company(), (up.organisation,))
    finally:
        up.stop()


def _cost(stage: Stage, up: HeadgateUp, body: Body, keys: tuple[str, ...]) -> Figures:
    """CPU of each process for an event, from its request to its settlement at all sinks."""
    load = replace(http_load(up, body, stage, keys), rate=_RATE)
    # Each project's first event makes its keys, and is not what an event costs.
    stage.load(replace(load, seconds=max(len(keys) * 1.2 / _RATE / 4, 1.0), rate=_RATE * 4))
    up.prepare()
    pids = up.pids()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    measured = stage.load(load)
    up.prepare()
    answers = sum(measured.statuses.values())
    cpu = {f"{name} us": (cpu_seconds(pid) - before[name]) / answers * 1e6 for name, pid in pids.items()}
    return {"CPU us/event": sum(cpu.values()), **cpu, "p50 ms": measured.p50_ms, "p99 ms": measured.p99_ms}
