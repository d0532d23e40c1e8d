"""`headgate up` as an operator sees it: one real process tree in one data directory."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 60.0
READY = re.compile(r"ready http=(http://127\.0\.0\.1:\d+) grpc=(127\.0\.0\.1:\d+) app=\1\n")
CHILDREN = ("redis", "service", "forwarder", "gateway")


def until(condition: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Up:
    """A running `headgate up`; its log goes to DATA/../log."""

    def __init__(self, data_dir: Path, *flags: str, command: tuple[str, ...] = ("-m", "headgate_cli")) -> None:
        self.data_dir = data_dir
        with (data_dir.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, "up", "--data-dir", str(data_dir), *flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=data_dir.parent,
            )

    @property
    def log(self) -> str:
        return (self.data_dir.parent / "log").read_text()

    def wait_ready(self) -> str:
        """The HTTP URL of the ready line."""
        assert self.process.stdout is not None
        found = READY.fullmatch(self.process.stdout.readline())
        assert found, self.log
        return found[1]

    def pid(self, child: str) -> int | None:
        """None where it does not run just now."""
        try:
            return int((self.data_dir / "run" / f"{child}.pid").read_text())
        except FileNotFoundError:
            return None

    def pids(self) -> dict[str, int | None]:
        return {child: self.pid(child) for child in CHILDREN}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture
def start(short_dir: Path) -> Iterator[Callable[..., Up]]:
    """Starts `headgate up` on one data directory, on free ports."""
    started: list[Up] = []

    def start(*flags: str, **how: Any) -> Up:
        chosen = flags or ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
        started.append(Up(short_dir / "data", *chosen, **how))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.end()
        if up.process.stdout is not None:
            up.process.stdout.close()


def readiness(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 (our own URL)
            return int(answer.status)
    except OSError as error:
        return int(getattr(error, "code", 0))


def store(url: str, key: str) -> int:
    event = {"event": "a", "timestamp": "2026-01-01", "distinctId": "d", "sessionId": "s", "properties": {}}
    request = urllib.request.Request(f"{url}/", json.dumps(event).encode(), {"X-API-Key": key})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


def test_it_serves_says_so_once_and_ends_in_order(start: Callable[..., Up]) -> None:
    up = start()
    url = up.wait_ready()
    first = up.data_dir / "first-start.json"
    assert first.stat().st_mode & 0o777 == 0o600
    keys = json.loads(first.read_text())["keys"]
    assert store(url, keys["public"]) == 200
    assert up.data_dir.stat().st_mode & 0o777 == 0o700
    assert (up.data_dir / "run").stat().st_mode & 0o777 == 0o700
    assert (up.data_dir / "run" / "admin.sock").stat().st_mode & 0o777 == 0o600
    pids = up.pids()
    assert up.end() == 0
    assert up.process.stdout is not None
    assert up.process.stdout.read() == ""
    assert not [child for child, pid in pids.items() if alive(pid)]
    assert re.findall(r'event="child ended" child=(\w+)', up.log) == ["gateway", "service", "forwarder", "redis"]
    assert not [key for key in keys.values() if key in up.log]


def test_keys_and_events_are_kept_over_a_restart(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_ready()
    first = (up.data_dir / "first-start.json").read_text()
    assert up.end(signal.SIGINT) == 0
    again = start()
    assert store(again.wait_ready(), json.loads(first)["keys"]["test"]) == 200
    assert (up.data_dir / "first-start.json").read_text() == first
    assert "first-start.json" not in up.log


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_file_of_the_first_start_is_said_and_stops_nothing(start: Callable[..., Up], text: str) -> None:
    up = start()
    up.wait_ready()
    assert up.end() == 0
    file = up.data_dir / "first-start.json"
    file.write_text(text)
    again = start()
    assert readiness(again.wait_ready()) == 200
    assert re.search(rf"the first start's file is empty or damaged.*file={file}", up.log)
    assert file.read_text() == text


def test_a_second_one_is_refused_by_the_pid_of_the_first(start: Callable[..., Up]) -> None:
    up = start()
    url = up.wait_ready()
    second = start()
    assert second.process.wait(DEADLINE) == 1
    assert f"a `headgate up` (pid {up.process.pid}) runs on {up.data_dir}: stop it first" in up.log
    assert readiness(url) == 200


def test_every_child_that_is_killed_comes_back_at_the_same_address(start: Callable[..., Up]) -> None:
    up = start()
    url = up.wait_ready()
    for child in CHILDREN:
        # One that lost what it needs may be between two lives.
        until((up.data_dir / "run" / f"{child}.pid").exists, f"{child} runs")
        killed = up.pid(child)
        os.kill(killed, signal.SIGKILL)
        until(lambda: not alive(killed), "it died")  # noqa: B023 (it is called at once)
        until(lambda: readiness(url) == 200, f"ready again after {child} was killed")
        until(
            lambda: (up.data_dir / "run" / f"{child}.pid").exists() and up.pid(child) != killed,  # noqa: B023
            f"{child} came back",
        )
        assert re.search(rf'event="child died.*child={child} status="signal SIGKILL"', up.log)
    assert up.end() == 0


def test_a_killed_one_leaves_nothing_that_the_next_one_trips_over(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_ready()
    key = json.loads((up.data_dir / "first-start.json").read_text())["keys"]["public"]
    orphans = up.pids()
    up.process.kill()
    up.process.wait()
    assert alive(orphans["redis"])
    again = start()
    assert store(again.wait_ready(), key) == 200
    assert not [child for child, pid in orphans.items() if alive(pid)]
    assert "a Redis left over from an earlier run was shut down" in again.log
    assert again.end() == 0


def test_a_taken_port_ends_it_at_once_with_what_to_do(start: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        up = start("--http", address, "--grpc", "127.0.0.1:0")
        assert up.process.wait(DEADLINE) == 1
    assert f"headgate: {address} is taken by another program: choose another with --http" in up.log
    assert "Traceback" not in up.log


def test_a_fault_of_the_settings_ends_it_with_the_setting(short_dir: Path) -> None:
    (short_dir / "headgate.toml").write_text("[limits]\nrates = 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "headgate_cli", "up"], cwd=short_dir, capture_output=True, text=True, timeout=DEADLINE
    )
    assert ended.returncode == 1
    assert "headgate.toml: limits.rates: unknown setting; did you mean 'rate'?" in ended.stderr
    assert not (short_dir / "headgate-data").exists()


# As `headgate up`, but that it waits for less long.
IMPATIENT = """
from headgate_cli import main
from headgate_cli.run import up
up.SILENCE = dict.fromkeys(up.SILENCE, 7.0)
main.app(prog_name="headgate")
"""


def test_a_stopped_child_is_noticed_and_started_again(start: Callable[..., Up]) -> None:
    up = start(command=("-c", IMPATIENT))
    url = up.wait_ready()
    key = json.loads((up.data_dir / "first-start.json").read_text())["keys"]["public"]
    for child in CHILDREN:
        before = up.pids()
        os.kill(before[child], signal.SIGSTOP)
        until(lambda: not alive(before[child]), f"{child} to be killed")  # noqa: B023 (called at once)
        until(lambda: readiness(url) == 200, f"{child} to be there again")
        # Its old pid stands there until its end was noticed.
        until(lambda: up.pid(child) not in (None, before[child]), f"{child} to run")  # noqa: B023 (called at once)
        after = up.pids()
        assert {name for name in CHILDREN if after[name] != before[name]} == {child}
        assert f'event="child does not answer and is killed" child={child}' in up.log
    assert store(url, key) == 200
    assert up.log.count("child does not answer") == len(CHILDREN)
    assert up.end() == 0
