"""Measures ingestion through a whole `headgate up`, fsync before every answer: `python bench/ingest.py --help`.

Everything that serves runs on one core, the load on another. Each row is the median of the rounds, rows interleaved; a
round with any answer but 200 is void. CPU is per request and process, from /proc. Linux only.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
PROCESSES = ("gateway", "service", "redis", "forwarder")
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """One kind of request and how many events each holds."""

    name: str
    events: int
    request: str
    connections: int


def request(path: str, body: object, **headers: str) -> str:
    text = json.dumps(body)
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(text)}"]
    return (
        "\r\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())])
        + f"\r\n\r\n{text}"
    )


def rows(public: str, organisation: str) -> list[Row]:
    properties = {"plan": "pro", "source": "pricing_page", "amount": 12.5, "items": 3, "path": "/pricing", "ab": True}
    real = {
        "event": "signup_completed",
        "timestamp": "2026-02-03T15:30:00.000Z",
        "distinctId": "user_0000000000",
        "sessionId": "sess_abc",
        "properties": properties,
    }
    visit = {
        "event": "page_visit",
        "eventId": "visit-0000000000",
        "page": {"href": "https://example.com/pricing?plan=pro", "pathname": "/pricing", "title": "Pricing"},
        "sdk": {"name": "server", "version": "1.2.3"},
        "properties": properties,
    }
    click = {"eventName": "click", "experimentId": "exp_1", "sessionId": "s_0000000000", "pathname": "/landing"}
    view = {"type": "page_view", "payload": properties, "userId": "user_0000000000"}
    return [
        Row("RealAnalytics, 1 event", 1, request("/", real, X_API_Key=public), 128),
        Row("RealAnalytics, 100 events", 100, request("/", [real] * 100, X_API_Key=public), 32),
        Row("Xaiku, 5 events", 5, request("/api/v1/analytics", {"events": [click] * 5}, X_public_key=public), 128),
        Row("Codcompass, 100 events", 100, request("/api/analytics", {"events": [view] * 100}), 32),
        Row("Prompting Company, 1 event", 1, request("/api/v1/analytics/events", visit, x_api_key=organisation), 128),
    ]


class Up:
    """A `headgate up` in a folder of its own, on one core."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        config = self.folder / "headgate.toml"
        config.write_text('[limits]\nrate = "100000000/60s"\nlog_bytes = "8GiB"\n')
        command = [sys.executable, "-m", "headgate_cli", "up", "--data-dir", str(self.folder / "data")]
        command += ["--config", str(config), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "log").open("wb"),
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"`headgate up` did not get ready: {(self.folder / 'log').read_text()[-2000:]}")
        self.port = int(line.split()[1].rpartition(":")[2])
        self.public = json.loads((self.folder / "data" / "first-start.json").read_text())["keys"]["public"]
        create = ["key", "create", "--project", "default", "--kind", "organisation", "--json"]
        made = subprocess.run(
            [sys.executable, "-m", "headgate_cli", *create, "--data-dir", str(self.folder / "data")],
            capture_output=True,
            check=True,
        )
        self.organisation = json.loads(made.stdout)["key"]

    def pid(self, process: str) -> int:
        return int((self.folder / "data" / "run" / f"{process}.pid").read_text())

    def cpu_seconds(self) -> dict[str, float]:
        return {process: _cpu_seconds(self.pid(process)) for process in PROCESSES}

    def megabytes(self) -> dict[str, float]:
        return {process: _megabytes(self.pid(process)) for process in PROCESSES}

    def lines(self) -> int:
        """Lines that the jsonl sink has written."""
        files = (self.folder / "data" / "events").glob("*.jsonl")
        return sum(
            int(subprocess.run(["wc", "-l", file], capture_output=True, check=True).stdout.split()[0]) for file in files
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _megabytes(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def measure(up: Up, row: Row, seconds: float) -> dict[str, float]:
    before = up.cpu_seconds()
    load = {
        "host": "127.0.0.1",
        "port": up.port,
        "connections": row.connections,
        "seconds": seconds,
        "requests": [row.request],
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("load.py")), str(LOAD_CORE)],
        input=json.dumps(load),
        capture_output=True,
        text=True,
        check=True,
    )
    after = up.cpu_seconds()
    found = json.loads(done.stdout)
    answers = sum(found["statuses"].values())
    if set(found["statuses"]) != {"200"}:
        raise SystemExit(f"{row.name}: void, as not every answer was 200: {found['statuses']}")
    return {
        "requests_per_second": answers / found["seconds"],
        "events_per_second": answers * row.events / found["seconds"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        **{f"{process}_us": (after[process] - before[process]) / answers * 1e6 for process in PROCESSES},
    }


def drain(up: Up, accepted: int) -> float:
    """Seconds until the jsonl sink holds so many events."""
    start = time.monotonic()
    while up.lines() < accepted:
        time.sleep(0.1)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, help="where to write everything that was measured")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    up = Up()
    try:
        at_rest = up.megabytes()
        table = rows(up.public, up.organisation)
        accepted = 0
        for _ in range(arguments.rounds):
            for row in table:
                measured = measure(up, row, arguments.seconds)
                found[row.name].append(measured)
                # Each row begins with nothing left to forward.
                accepted += round(measured["events_per_second"] * arguments.seconds)
                drain(up, int(accepted * 0.98))
        loaded = up.megabytes()
    finally:
        up.stop()
    medians = {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    machine = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    print(f"{machine}\n{arguments.rounds} rounds of {arguments.seconds} s\n")
    print("| row | requests/s | events/s | p50 ms | p99 ms | " + " | ".join(f"{p} us" for p in PROCESSES) + " |")
    print("|---" * (5 + len(PROCESSES)) + "|")
    for name, row in medians.items():
        print(
            f"| {name} | "
            + " | ".join(f"{value:,.1f}" if value < 100 else f"{value:,.0f}" for value in row.values())
            + " |"
        )
    print(f"\nMB at rest: {_rounded(at_rest)}; after the load: {_rounded(loaded)}")
    if arguments.json:
        everything = {"machine": machine, "rows": [asdict(row) for row in table], "rounds": found, "medians": medians}
        arguments.json.write_text(json.dumps(everything, indent=2))


def _rounded(values: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in values.items()}


def _cpu_name() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


if __name__ == "__main__":
    main()
