"""Rows of a Headgate at rest: how long it takes to start, what it holds, and what an event that waits costs."""

from functools import partial

from bench.filler import fill
from bench.headgate_up import JSONL, HeadgateUp, webhook
from bench.plain_server import free_port
from bench.proc import resident_bytes
from bench.row import Figures, Row
from bench.stage import Stage

_MB = 1024 * 1024


def rows(stage: Stage, backlog: int) -> list[Row]:
    return [
        Row("rest", "start", "start-up, first and second, and memory at rest", partial(_start, stage)),
        Row("memory", "queued", f"{backlog:,} queued events, 100 an entry", partial(_queued, stage, backlog), rounds=3),
    ]


def _start(stage: Stage) -> Figures:
    up = HeadgateUp(stage.cores, JSONL)
    try:
        up.end()
        second = up.start()
        memory = {f"{name} MB": resident_bytes(pid) / _MB for name, pid in up.pids().items()}
        return {"first start s": up.first_start_seconds, "second start s": second, **memory}
    finally:
        up.stop()


def _queued(stage: Stage, events: int) -> Figures:
    # Nothing listens at the webhook, so that all of them wait.
    up = HeadgateUp(stage.cores, webhook(free_port()))
    try:
        with up.redis() as redis:
            before = redis.info("memory")["used_memory"]
            filled = fill(up.redis_url, [up.default_project()], events)
            held = redis.info("memory")["used_memory"] - before
    finally:
        up.stop()
    return {
        "bytes/event held by Redis": held / filled.events,
        "bytes/event before compression": filled.event_bytes / filled.events,
        "bytes/event compressed": filled.payload_bytes / filled.events,
        "held / uncompressed": held / filled.event_bytes,
        "held / compressed": held / filled.payload_bytes,
    }
