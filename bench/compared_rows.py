"""Rows to compare with: peers that do about the same, and ceilings that do nothing."""

import shutil
import subprocess
import tempfile
from functools import partial

from bench import bodies
from bench.durable_redis import DurableRedis
from bench.loaded import http_load, under_load
from bench.plain_server import PlainServer, nginx_path
from bench.proc import cpu_seconds
from bench.row import Figures, Row
from bench.stage import Stage

_UVICORN = (
    "{{python}} -m uvicorn {app} --port {{port}} --loop uvloop --http httptools --no-access-log --log-level warning"
)
# Three workers: two per core and one, as gunicorn's documentation advises.
_GUNICORN = "{{python}} -m gunicorn {app} -b 127.0.0.1:{{port}} -k gthread -w 3 --threads 16 --keep-alive 75"
PEERS = {
    "fastapi": ("FastAPI, an entry per event", _UVICORN.format(app="bench.peers.fastapi_plain:app")),
    "fastapi-tuned": ("FastAPI tuned, one script call", _UVICORN.format(app="bench.peers.fastapi_tuned:app")),
    "flask": ("Flask on gunicorn, an entry per event", _GUNICORN.format(app="bench.peers.flask_plain:app")),
    "flask-tuned": ("Flask on gunicorn tuned, one script call", _GUNICORN.format(app="bench.peers.flask_tuned:app")),
}
FALCON = _UVICORN.format(app="bench.peers.falcon_empty:app")


def rows(stage: Stage) -> list[Row]:
    found = [
        Row("peers", f"{name}-{events}", f"{title}; {events} a request", partial(_peer, stage, name, command, events))
        for name, (title, command) in PEERS.items()
        for events in (1, 100)
    ]
    found += [
        Row(
            "ceilings",
            f"falcon-{events}",
            f"Falcon, empty handler; {events} a request",
            partial(_empty, stage, FALCON, events),
        )
        for events in (1, 100)
    ]
    if nginx := nginx_path():
        found += [
            Row(
                "ceilings",
                f"nginx-{events}",
                f"nginx `return 200`; {events} a request",
                partial(_nginx, stage, nginx, events),
            )
            for events in (1, 100)
        ]
    if shutil.which("redis-benchmark"):
        found += [
            Row(
                "ceilings",
                f"redis-xadd-{events}",
                f"redis-benchmark, XADD of the bytes of {events}",
                partial(_xadd, stage, events),
            )
            for events in (1, 100)
        ]
    return found


def _redis(stage: Stage) -> DurableRedis:
    return stage.running("redis of the peers", DurableRedis, partial(DurableRedis, stage.cores))


def _peer(stage: Stage, name: str, command: str, events: int) -> Figures:
    start = partial(PlainServer, stage.cores, command, _redis(stage))
    return _measured(stage, stage.running(name, PlainServer, start), events)


def _empty(stage: Stage, command: str, events: int) -> Figures:
    start = partial(PlainServer, stage.cores, command)
    return _measured(stage, stage.running("falcon", PlainServer, start), events)


def _nginx(stage: Stage, path: str, events: int) -> Figures:
    start = partial(PlainServer, stage.cores, f"{path} -p {{folder}} -c {{folder}}/nginx.conf -e {{folder}}/log")
    return _measured(stage, stage.running("nginx", PlainServer, start), events)


def _measured(stage: Stage, server: PlainServer, events: int) -> Figures:
    body = bodies.realanalytics(events)
    return under_load(server, http_load(server, body, stage, ("any",)), events, stage)


def _xadd(stage: Stage, events: int) -> Figures:
    """The same bytes appended by redis-benchmark over as many connections as the loads have."""
    redis = _redis(stage)
    body = bodies.realanalytics(events).text
    count = 20_000 if events == 1 else 4_000
    count = max(int(count * stage.seconds), 100)
    with redis.client() as client:
        client.flushall()
    before = cpu_seconds(redis.pid)
    with tempfile.TemporaryFile("w+") as out:
        command = ["redis-benchmark", "-s", str(redis.socket), "-c", "128" if events == 1 else "32", "-n", str(count)]
        command += ["--csv", "XADD", "stream", "*", "body", body]
        subprocess.run(stage.cores.loading(command), stdout=out, check=True, timeout=120 + stage.seconds * 10)
        out.seek(0)
        # The command itself stands first in the line and has commas of its own.
        values = out.read().strip().splitlines()[-1].rsplit('","', 7)
    per_second = float(values[1])
    return {
        "requests/s": per_second,
        "events/s": per_second * events,
        "CPU us/request": (cpu_seconds(redis.pid) - before) / count * 1e6,
    }
