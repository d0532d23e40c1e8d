"""PostgreSQL in the place of the control DB's file: all in one, and several services that share it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

EVENT = {"event": "e", "timestamp": "2026-02-01T12:00:00Z", "distinctId": "u", "sessionId": "s", "properties": {}}


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    return new_database().replace("+asyncpg", "")


def send(url: str, key: str) -> httpx.Response:
    return httpx.post(f"{url}/", json=EVENT, headers={"X-API-Key": key}, timeout=20)


def test_all_in_one_keeps_its_limits_where_the_log_was_deleted(
    make_headgate: Callable[..., Any], database_url: str
) -> None:
    headgate = make_headgate(f'[control]\ndatabase_url = "{database_url}"\n').start()
    key = headgate.keys["public"]
    headgate.run("project", "plan", "default", "--monthly-limit", "3")
    assert [send(headgate.http, key).status_code for _ in range(2)] == [200, 200]
    assert not list(headgate.data_dir.glob("control.db*"))
    assert headgate.stop() == 0
    shutil.rmtree(headgate.data_dir / "redis")

    headgate.start()
    # Longer than a change of the plan takes to be in force.
    assert httpx.get(f"{headgate.http}/readyz").json()["dependencies"]["counters"] == "ok"
    assert [send(headgate.http, key).status_code for _ in range(2)] == [200, 429]
    (row,) = headgate.json("sinks", "status")["sinks"]
    assert (row["accepted"], row["difference"]) == (3, 0)
    made = headgate.json("project", "create", "Shop")
    assert send(headgate.http, made["keys"]["public"]).status_code == 200


@pytest.fixture
def start(short_dir: Path, redis_url: str, database_url: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes on one Redis and one PostgreSQL, each with a data directory of its own."""
    running: list[subprocess.Popen[bytes]] = []
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")},
        "HEADGATE_REDIS_URL": redis_url,
        "HEADGATE_DATABASE_URL": database_url,
        "HEADGATE_GATEWAY_TOKEN": "token-of-the-tests",
    }

    def begin(name: str, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        folder = short_dir / name
        folder.mkdir()
        command = [sys.executable, "-m", "headgate_cli", *arguments, "--data-dir", str(folder)]
        with (folder / "log").open("wb") as log:
            running.append(subprocess.Popen(command, env={**environment, **more}, stdout=log, stderr=log))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_services_on_several_machines_share_it(
    start: Callable[..., subprocess.Popen[bytes]], short_dir: Path, wait_until: Callable[..., None]
) -> None:
    ports = [free_port() for _ in range(3)]
    one = start("one", "service", "--grpc", f"127.0.0.1:{ports[0]}")
    start("two", "service", "--grpc", f"127.0.0.1:{ports[1]}")
    toml = short_dir / "gateway.toml"
    toml.write_text(f'[gateway]\nservice = "127.0.0.1:{ports[1]}"\n')
    start("gateway", "gateway", "--http", f"127.0.0.1:{ports[2]}", "--config", str(toml))
    url = f"http://127.0.0.1:{ports[2]}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, "the gateway and the second service serve", 60)
    wait_until((short_dir / "one" / "run" / "admin.sock").exists, "the first service serves")

    def operator(machine: str, *arguments: str) -> Any:
        command = [sys.executable, "-m", "headgate_cli", *arguments, "--data-dir", str(short_dir / machine), "--json"]
        return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    made = operator("one", "project", "create", "Shop", "--monthly-limit", "2")
    assert send(url, made["keys"]["public"]).status_code == 200
    one.send_signal(signal.SIGKILL)
    one.wait()
    key = operator("two", "key", "create", "--project", "shop", "--kind", "public")["key"]
    assert [send(url, key).status_code for _ in range(2)] == [200, 429]
