"""A whole Headgate, started as its users start it, and what they would look at."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

READY_SECONDS = 60


@dataclass
class Headgate:
    """One data directory and the `headgate up` that runs on it, while it does."""

    data_dir: Path
    config: Path | None = None
    command: tuple[str, ...] = (sys.executable, "-m", "headgate_cli")
    process: subprocess.Popen[str] | None = None
    ready: str = ""
    http: str = ""
    grpc: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    project: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> "Headgate":
        self.spawn()
        return self.await_ready()

    def spawn(self) -> None:
        """Start it, and do not wait until it serves."""
        arguments = ["up", "--data-dir", str(self.data_dir), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        if self.config is not None:
            arguments += ["--config", str(self.config)]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | self.environment,
            )

    def await_ready(self) -> "Headgate":
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            self.process.kill()
            pytest.fail(f"`headgate up` said {line!r} and not that it is ready:\n{self.log_file.read_text()[-4000:]}")
        self.ready = line
        said = dict(part.split("=", 1) for part in line.split()[1:])
        self.http, self.grpc = said["http"], said["grpc"]
        first = json.loads((self.data_dir / "first-start.json").read_text())
        self.keys, self.project = first["keys"], first["project"]
        return self

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def kill(self, child: str) -> int:
        """kill -9 of one of its processes; its pid."""
        pid = self.pid(child)
        assert pid is not None, f"{child} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def pid(self, child: str) -> int | None:
        """Its pid; None where it does not run just now."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.data_dir / "run" / f"{child}.pid").read_text())
        return None

    @property
    def log_file(self) -> Path:
        return self.data_dir / "up.log"

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of the operator's."""
        return subprocess.run(
            [*self.command, *arguments, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def written(self) -> list[dict[str, Any]]:
        """What the jsonl sink wrote: whole lines only, in the order of the files."""
        files = sorted((self.data_dir / "events").glob("*.jsonl"))
        return [
            json.loads(line)
            for file in files
            for line in file.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]


def await_condition(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            pytest.fail(f"waited {seconds} s in vain until {what}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Waits until a condition holds, and fails naming what did not come to be."""
    return await_condition


@pytest.fixture
def make_headgate(short_dir: Path) -> Iterator[Callable[..., Headgate]]:
    """Makes a Headgate on a data directory of this test, with a headgate.toml of the given text."""
    made: list[Headgate] = []

    def make(toml: str | None = None) -> Headgate:
        config = None
        if toml is not None:
            config = short_dir / "headgate.toml"
            config.write_text(toml)
        made.append(Headgate(short_dir / "data", config))
        return made[-1]

    yield make
    for headgate in made:
        if headgate.process is not None and headgate.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                headgate.stop()
            headgate.process.kill()


@pytest.fixture(scope="module")
def headgate(request: pytest.FixtureRequest) -> Iterator[Headgate]:
    """One Headgate for all tests of a module: as it comes, or with the module's HEADGATE_TOML and ENVIRONMENT."""
    folder = Path(tempfile.mkdtemp(prefix="hg-"))
    config = None
    if toml := getattr(request.module, "HEADGATE_TOML", None):
        config = folder / "headgate.toml"
        config.write_text(toml)
    environment = getattr(request.module, "HEADGATE_ENVIRONMENT", {})
    running = Headgate(folder / "data", config, environment=environment).start()
    yield running
    code = running.stop()
    shutil.rmtree(folder, ignore_errors=True)
    assert code == 0


@pytest.fixture
def client(headgate: Headgate) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=headgate.http, timeout=20) as client:
        yield client


@dataclass
class SdkRun:
    """A Headgate that a vendor's SDK sends a hundred events to, past a killed gateway and a limit of four requests in
    two seconds."""

    headgate: Headgate
    wait_until: Callable[..., None]

    @property
    def key(self) -> str:
        return self.headgate.keys["public"]

    @property
    def url(self) -> str:
        return self.headgate.http

    def kill_gateway(self) -> None:
        """And do not wait for the next one: the SDK is to get over it."""
        self.headgate.kill("gateway")

    def end_gateway(self) -> None:
        """It answers the requests that it has before it ends; another one follows."""
        pid = self.headgate.pid("gateway")
        assert pid is not None
        os.kill(pid, signal.SIGTERM)

    def metric(self, dialect: str, status: int) -> float:
        """Requests that this gateway answered so."""
        with contextlib.suppress(httpx.HTTPError):
            text = httpx.get(f"{self.url}/metrics", timeout=5).text
            name = f'headgate_gateway_requests_total{{dialect="{dialect}",status="{status}"}} '
            found = [float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)]
            return sum(found)
        return 0

    def check(self, dialect: str, numbers: int = 100, *, limited: bool = False) -> list[dict[str, Any]]:
        """Each event, told by its property `n`, is once in the file and once in the books; the file's events.

        `limited`: the test saw that the limit refused a request.
        """
        self.wait_until(lambda: len(self.headgate.written()) >= numbers, "every event is written", 60)
        assert limited or self.metric(dialect, 429), "the limit refused none of the requests"

        def books() -> dict[str, tuple[int, int, int]]:
            sinks = self.headgate.json("sinks", "status")["sinks"]
            return {row["name"]: (row["accepted"], row["delivered"], row["difference"]) for row in sinks}

        self.wait_until(lambda: set(books().values()) == {(numbers, numbers, 0)}, "every sink has each event once", 60)
        written = self.headgate.written()
        assert sorted(event["properties"]["n"] for event in written) == list(range(numbers))
        assert len({event["eventId"] for event in written}) == numbers
        assert {event["dialect"] for event in written} == {f"DIALECT_{dialect.upper()}"}
        return written


@pytest.fixture
def sdk_run(make_headgate: Callable[..., Headgate], wait_until: Callable[..., None]) -> SdkRun:
    return SdkRun(make_headgate('[limits]\nrate = "4/2s"\n').start(), wait_until)
