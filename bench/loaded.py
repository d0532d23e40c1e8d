"""Rows of a server under load: the most it answers, CPU a request, and how long answers take below the most."""

from dataclasses import replace

from bench.bodies import Body
from bench.grpc_load import GrpcLoad
from bench.headgate_up import HeadgateUp
from bench.http_load import HttpLoad
from bench.proc import cpu_seconds
from bench.row import Figures
from bench.server import Server
from bench.stage import Stage

# The share of the most at which latency is taken.
LOAD_SHARE = 0.7


def http_load(server: Server, body: Body, stage: Stage, keys: tuple[str, ...], *, gzip: bool = False) -> HttpLoad:
    """As many connections as keep the server busy."""
    connections = 128 if body.events < 50 else 32
    header = body.key_header if keys else None
    return HttpLoad(
        server.host, server.port, body.path, body.text, connections, stage.seconds, None, gzip, header, keys
    )


def grpc_load(server: HeadgateUp, stage: Stage, events: int, *, stream: bool = False, gzip: bool = False) -> GrpcLoad:
    lanes = 128 if events < 50 else 32
    return GrpcLoad(server.grpc, server.secret, events, lanes, stage.seconds, stream, gzip)


def under_load(server: Server, load: HttpLoad | GrpcLoad, events: int, stage: Stage) -> Figures:
    """A closed load for the most and the CPU, then an open one at 70 % of it for the times."""
    server.prepare()
    pids = server.pids()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    most = stage.load(load)
    after = {name: cpu_seconds(pid) for name, pid in pids.items()}
    server.prepare()
    timed = stage.load(replace(load, rate=most.per_second * LOAD_SHARE))
    answers = sum(most.statuses.values())
    cpu = {f"{name} us": (after[name] - before[name]) / answers * 1e6 for name in pids}
    return {
        "requests/s": most.per_second,
        "events/s": most.per_second * events,
        "p50 ms at 70 %": timed.p50_ms,
        "p99 ms at 70 %": timed.p99_ms,
        "p99.9 ms at 70 %": timed.p999_ms,
        "load busy %": most.load_busy * 100,
        "CPU us/request": sum(cpu.values()),
        **cpu,
    }
