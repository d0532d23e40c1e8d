"""Rows of the forwarder: how fast it empties a log, and how long an event takes to its sink."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from headgate_service.log.append import LogProject

from bench import bodies
from bench.delivered import delivered
from bench.durable_redis import DurableRedis
from bench.filler import fill
from bench.headgate_up import JSONL, STORE, HeadgateUp, Sinks, webhook
from bench.loaded import http_load
from bench.plain_server import free_port
from bench.proc import cpu_seconds
from bench.row import Figures, Row, Void
from bench.server import end, start, wait_until
from bench.stage import Stage

# In steady rows; few enough for a round to be short.
_EVENTS = 200_000
_DRAIN_SECONDS = 1800.0
_PROJECTS = [LogProject(f"prj_bench{number}", number, None) for number in range(4)]


def rows(stage: Stage, backlog: int) -> list[Row]:
    steady = min(backlog, _EVENTS)
    return [
        Row("forwarder", "jsonl", f"{steady:,} events into jsonl", partial(_drain, stage, "jsonl", steady)),
        Row("forwarder", "webhook", f"{steady:,} events into a webhook", partial(_drain, stage, "webhook", steady)),
        Row("forwarder", "store", f"{steady:,} events into the store", partial(_drain, stage, "store", steady)),
        Row(
            "forwarder", "backlog", f"{backlog:,} events into jsonl", partial(_drain, stage, "jsonl", backlog), rounds=1
        ),
        *(
            Row(
                "delay",
                f"webhook-{name}-{share}",
                f"log to webhook at {share} % load, {title}",
                partial(_delay, stage, settings, share / 100),
            )
            for name, title, settings in (
                ("default", "batches gather for up to 1 s (default)", ""),
                ("quick", "batches gather for up to 10 ms", "max_age = 0.01"),
            )
            for share in (20, 50, 80)
        ),
    ]


def _drain(stage: Stage, kind: str, events: int) -> Figures:
    """From the first settled batch to the last, so that the start of the process does not count."""
    with ExitStack() as ends:
        redis = DurableRedis(stage.cores)
        ends.callback(redis.stop)
        folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        sinks = JSONL
        if kind == "webhook":
            sinks = webhook(ends.enter_context(_receiver(stage, folder)))
        socket = folder / "data" / "run" / "store.sock"
        if kind == "store":
            sinks = Sinks(STORE.names, f'{STORE.toml}[store]\nurl = "unix:{socket}"\n')
            ends.callback(end, _store(stage, folder, socket))
        accepted = fill(redis.url, _PROJECTS, events).events
        config = folder / "headgate.toml"
        config.write_text(f'[redis]\nurl = "{redis.url}"\n{sinks.toml}')
        command = [sys.executable, "-m", "headgate_cli", "forward", "--config", str(config)]
        process = start(stage.cores.serving([*command, "--data-dir", str(folder / "data")]), folder / "log")
        ends.callback(end, process)
        return _timed(redis, process.pid, sinks.names[0], accepted)


def _store(stage: Stage, folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    """A store on the servers' cores, as it is within `headgate up`."""
    command = [sys.executable, "-m", "headgate_cli", "store", "--data-dir", str(folder / "data")]
    process = start(stage.cores.serving(command), folder / "store.log")
    wait_until(socket.exists, process, folder / "store.log")
    return process


def _timed(redis: DurableRedis, forwarder: int, sink: str, accepted: int) -> Figures:
    def look() -> tuple[float, int, float, float]:
        return time.perf_counter(), delivered(client, sink), cpu_seconds(forwarder), cpu_seconds(redis.pid)

    ends = time.monotonic() + _DRAIN_SECONDS
    with redis.client() as client:
        first = last = look()
        while last[1] < accepted:
            if time.monotonic() > ends:
                raise Void(f"{sink} took only {last[1]} of {accepted} events in {_DRAIN_SECONDS:.0f} s")
            time.sleep(0.02)
            last = look()
            if not first[1]:
                first = last
    seconds, events, forwarder_cpu, redis_cpu = (after - before for before, after in zip(first, last, strict=True))
    if not events:
        raise Void("all events were taken at once: measure more of them")
    return {
        "events/s": events / seconds,
        "events/s per core of forwarder": events / forwarder_cpu if forwarder_cpu else 0.0,
        "forwarder us/event": forwarder_cpu / events * 1e6,
        "redis us/event": redis_cpu / events * 1e6,
    }


def _delay(stage: Stage, settings: str, share: float) -> Figures:
    """The delay counts from an event's time in the log, which is a little before its ack, to its batch's arrival."""
    with ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        up = HeadgateUp(stage.cores, webhook(ends.enter_context(_receiver(stage, folder)), settings))
        ends.callback(up.stop)
        load = http_load(up, bodies.realanalytics(1), stage, (up.public,))
        most = stage.load(load)
        up.prepare()
        skip = len(_arrivals(folder))
        stage.load(replace(load, rate=most.per_second * share))
        up.prepare()
        delays = sorted(delay for line in _arrivals(folder)[skip:] for delay in json.loads(line))
    if not delays:
        raise Void("no batch arrived")
    return {
        "requests/s": most.per_second * share,
        "p50 ms": statistics.median(delays),
        "p99 ms": delays[min(len(delays) * 99 // 100, len(delays) - 1)],
        "batches": len(delays) / 2,
    }


def _arrivals(folder: Path) -> list[str]:
    return (folder / "arrivals").read_text().splitlines()


@contextmanager
def _receiver(stage: Stage, folder: Path) -> Iterator[int]:
    """The port of a receiver on the load's cores."""
    port = free_port()
    command = [sys.executable, "-m", "bench.receiver", str(port), str(folder / "arrivals")]
    process = start(stage.cores.loading(command), folder / "receiver.log")
    try:
        yield port
    finally:
        end(process)
