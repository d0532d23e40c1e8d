"""A whole `headgate up` in a folder of its own."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from headgate_service.log.append import LogProject
from redis import Redis

from bench.cores import Cores
from bench.delivered import settled
from bench.row import Void
from bench.server import end, start, wait_until

# How long the forwarder may take for what one load left.
SETTLE_SECONDS = 120.0
PROCESSES = ("gateway", "service", "redis", "forwarder")
# Limits that are kept, and never reached. What is settled is dropped soon unless a row says otherwise, so that a run of
# any length fits.
_LIMITS = """
[redis]
max_memory = "12GiB"
[limits]
rate = "100000000/60s"
codcompass_rate = "100000000/60s"
grpc_rate = "100000000/60s"
log_bytes = "16GiB"
remembered_bytes = "8GiB"
remembered_total_bytes = "8GiB"
[log]
keep = "{keep}"
"""
_NO_STORE = "[store]\nenabled = false\n"
_NO_JSONL = '[[sinks]]\nname = "jsonl"\nenabled = false\n'


@dataclass(frozen=True)
class Sinks:
    """Their names, and what headgate.toml says of them."""

    names: tuple[str, ...]
    toml: str


NO_SINKS = Sinks((), _NO_STORE + _NO_JSONL)
JSONL = Sinks(("jsonl",), _NO_STORE)
STORE = Sinks(("store",), _NO_JSONL)


def many_jsonl(count: int) -> Sinks:
    """So many sinks that write into folders of their own."""
    names = tuple(f"jsonl-{number}" for number in range(count))
    tables = (f'[[sinks]]\nname = "{name}"\nuse = "jsonl"\n[sinks.config]\npath = "{name}"\n' for name in names)
    return Sinks(names, _NO_STORE + _NO_JSONL + "".join(tables))


def webhook(port: int, settings: str = "") -> Sinks:
    """One webhook to a port of this machine; the bound of the log never refuses events for its sake."""
    config = f'[sinks.config]\nurl = "http://127.0.0.1:{port}/"\nsecret = "whsec_{"c2VjcmV0" * 4}"\n{settings}\n'
    return Sinks(
        ("hook",), f'{_NO_STORE}{_NO_JSONL}[[sinks]]\nname = "hook"\nuse = "webhook"\nwhen_full = "expire"\n{config}'
    )


class HeadgateUp:
    """Runs with these sinks, limits, quota and dedup on, fsync before each answer."""

    def __init__(self, cores: Cores, sinks: Sinks, *, in_process: bool = False, keep: str = "10s") -> None:
        self._cores = cores
        self.sinks = sinks
        self.folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        self.data = self.folder / "data"
        self._log = self.folder / "log"
        (self.folder / "headgate.toml").write_text(
            _LIMITS.replace("{keep}", keep) + ("[gateway]\nin_process = true\n" if in_process else "") + sinks.toml
        )
        try:
            self.first_start_seconds = self.start()
            self.public, self.secret = self._first_keys()
            self.organisation = self._organisation_key()
        except BaseException:
            self.stop()
            raise

    def start(self) -> float:
        """Seconds from the command to its `ready` line."""
        command = [sys.executable, "-m", "headgate_cli", "up", "--data-dir", str(self.data)]
        command += ["--config", str(self.folder / "headgate.toml"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        began = time.perf_counter()
        to_file = ["sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "-", str(out)]
        self._process = start([*to_file, *self._cores.serving(command)], self._log)
        wait_until(lambda: out.exists() and "\n" in out.read_text(), self._process, self._log)
        took = time.perf_counter() - began
        said = dict(word.partition("=")[::2] for word in out.read_text().split()[1:])
        self.host, _, port = said["http"].rpartition("/")[2].rpartition(":")
        self.port = int(port)
        self.grpc = said["grpc"]
        return took

    def end(self) -> None:
        end(self._process)

    def stop(self) -> None:
        if hasattr(self, "_process"):
            self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        return {name: int((self.data / "run" / f"{name}.pid").read_text()) for name in PROCESSES}

    def prepare(self) -> None:
        """What an earlier load left to forward is forwarded."""
        ends = time.monotonic() + SETTLE_SECONDS
        with self.redis() as redis:
            while not settled(redis, self.sinks.names):
                if time.monotonic() > ends:
                    raise Void(f"what was accepted did not reach the sinks within {SETTLE_SECONDS:.0f} s")
                # Each look reads a key or two of every project, which counts as Redis's work.
                time.sleep(0.5)

    def redis(self) -> "Redis":
        return Redis(unix_socket_path=str(self.data / "run" / "redis.sock"))

    @property
    def redis_url(self) -> str:
        return f"unix://{self.data / 'run' / 'redis.sock'}"

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.data / 'control.db'}"

    def default_project(self) -> LogProject:
        with contextlib.closing(sqlite3.connect(self.data / "control.db")) as database:
            project_id, shard = database.execute("SELECT id, shard FROM projects WHERE slug = 'default'").fetchone()
        return LogProject(project_id, shard, None)

    def _first_keys(self) -> tuple[str, str]:
        keys = json.loads((self.data / "first-start.json").read_text())["keys"]
        return keys["public"], keys["secret"]

    def _organisation_key(self) -> str:
        create = ["key", "create", "--project", "default", "--kind", "organisation", "--json"]
        made = subprocess.run(
            [sys.executable, "-m", "headgate_cli", *create, "--data-dir", str(self.data)],
            capture_output=True,
            check=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        key: str = json.loads(made.stdout)["key"]
        return key
