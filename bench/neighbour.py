"""Measures what a misbehaving third-party sink does to others: `python bench/neighbour.py --help`.

Each row is a `headgate up` with the sink `jsonl`, whose batches gather for 10 ms, and a neighbour that behaves as named
from its first write on. Events are posted one after another at a fixed rate; each row gives how long the answers took,
and how long after its answer each event's line was in a file. Rows are the medians of the rounds, interleaved. Linux
only.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

PLUGIN = """
import asyncio, ctypes, os

from headgate_sinks import Config, Result, Sink, Spec, hookimpl


class OddConfig(Config):
    does: str = "take"


class OddSink(Sink[OddConfig]):
    use = "odd"
    Config = OddConfig
    spec = Spec(write_seconds=3)

    async def write(self, batch):
        await getattr(self, self.config.does)()
        return Result()

    async def take(self):
        pass

    async def linger(self):
        await asyncio.sleep(3600)

    async def block(self):
        while True:
            pass

    async def crash(self):
        ctypes.string_at(0)

    async def eat(self):
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * (1 << 20)))
            await asyncio.sleep(0)

    async def chatter(self):
        while True:
            print("x" * 1000)


@hookimpl
def headgate_register_sinks():
    return [OddSink]
"""
ROWS = {
    "no neighbour": None,
    "one that is well": "take",
    "one that never answers": "linger",
    "one in a busy loop": "block",
    "one that crashes": "crash",
    "one that eats memory": "eat",
    "one that prints without end": "chatter",
}


class Up:
    """A `headgate up` with a neighbour, in a folder of its own."""

    def __init__(self, does: str | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        settings = '[limits]\nrate = "100000000/60s"\n[[sinks]]\nname = "jsonl"\n[sinks.config]\nmax_age = 0.01\n'
        if does is not None:
            settings += f'[[sinks]]\nname = "odd"\nmemory = "256MiB"\n[sinks.config]\ndoes = "{does}"\nmax_age = 0.01\n'
        (self.folder / "headgate.toml").write_text(settings)
        site = self.folder / "site"
        info = site / "odd_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "odd_plugin.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[headgate.sinks.v1]\nodd = odd_plugin\n")
        command = [sys.executable, "-m", "headgate_cli", "up", "--data-dir", str(self.folder / "data")]
        command += ["--config", str(self.folder / "headgate.toml"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "log").open("wb"),
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"`headgate up` did not get ready: {(self.folder / 'log').read_text()[-2000:]}")
        self.port = int(line.split()[1].rpartition(":")[2])
        self.public = json.loads((self.folder / "data" / "first-start.json").read_text())["keys"]["public"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


class Lines(threading.Thread):
    """When each event's line was first seen, by its name."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self.seen: dict[str, float] = {}
        self.ended = False

    def run(self) -> None:
        rest, file = b"", None
        while not self.ended:
            if file is None:
                file = next((path.open("rb") for path in sorted(self._folder.glob("*.jsonl"))), None)
            now = time.monotonic()
            part = file.read() if file else b""
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self.seen.setdefault(json.loads(line)["name"], now)
            time.sleep(0.001)


def measure(does: str | None, seconds: float, rate: float) -> dict[str, float]:
    up = Up(does)
    lines = Lines(up.folder / "data" / "events")
    lines.start()
    try:
        client = http.client.HTTPConnection("127.0.0.1", up.port)
        for number in range(20):
            post(client, up.public, f"first {number}")
        # The neighbour has begun by then.
        time.sleep(2)
        answers, answered = [], {}
        start = time.monotonic()
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            began = time.monotonic()
            post(client, up.public, f"event {number}")
            answered[f"event {number}"] = time.monotonic()
            answers.append(answered[f"event {number}"] - began)
        ends = time.monotonic() + 30
        while not answered.keys() <= lines.seen.keys():
            if time.monotonic() > ends:
                raise SystemExit(f"{does}: void, as {len(answered.keys() - lines.seen.keys())} events did not arrive")
            time.sleep(0.01)
    finally:
        lines.ended = True
        lines.join()
        up.stop()
    delays = [max(0.0, lines.seen[name] - at) for name, at in answered.items()]
    return {
        "answer_p50_ms": quantile(answers, 0.5),
        "answer_p99_ms": quantile(answers, 0.99),
        "delay_p50_ms": quantile(delays, 0.5),
        "delay_p99_ms": quantile(delays, 0.99),
        "delay_max_ms": max(delays) * 1000,
    }


def post(client: http.client.HTTPConnection, key: str, name: str) -> None:
    event = {"event": name, "timestamp": "2026-01-01", "distinctId": "d", "sessionId": "s", "properties": {}}
    client.request("POST", "/", json.dumps(event), {"X-API-Key": key, "Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"void, as an answer was {answer.status}")


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=50.0, help="events posted in a second")
    parser.add_argument("--json", type=Path, help="where to write everything that was measured")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(arguments.rounds):
        for name, does in ROWS.items():
            found[name].append(measure(does, arguments.seconds, arguments.rate))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| neighbour | answer p50 ms | p99 | line in the file after p50 ms | p99 | longest |")
    print("|---|---|---|---|---|---|")
    for name, rounds in found.items():
        medians = [statistics.median(one[key] for one in rounds) for key in rounds[0]]
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in medians)} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
