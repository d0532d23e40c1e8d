"""The revision before this contract beside this one, both ways, under load: an upgrade may go in any order."""

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from headgate_cli.run.embedded_redis import find_server

ROOT = Path(__file__).parents[2]
CONTRACT = "service/headgate_service/auth/contract.py"
FOLDERS = ("protos/gen", "service", "http_gateway", "plugins", "cli")
THIS = [str(ROOT / folder) for folder in FOLDERS]
REQUESTS = 100


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The source of the last revision that spoke the contract before."""
    folder = tmp_path_factory.mktemp("before")
    try:
        since = git("log", "-1", "-G^CONTRACT = ", "--format=%H", "--", CONTRACT).decode().strip()
        archive = git("archive", f"{since}^", *(folder.partition("/")[0] for folder in FOLDERS))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history of the source is not at hand: the revision before cannot be run")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return [str(folder / part) for part in FOLDERS]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Parts:
    """A Redis, a service and a gateway, each of a revision."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.grpc, self.http, self.redis = free_port(), free_port(), free_port()
        self.running: list[subprocess.Popen[bytes]] = []
        options = ["--port", str(self.redis), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
        self._run([find_server().path, *options, "--save", "", "--dir", str(folder)], dict(os.environ))

    def start(self, process: str, source: Sequence[str], *flags: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(source),
            "HEADGATE_REDIS_URL": f"redis://127.0.0.1:{self.redis}",
            "HEADGATE_GATEWAY_TOKEN": "a-token-of-the-test",
            "HEADGATE_GRPC_ADDRESS": f"127.0.0.1:{self.grpc}",
            "HEADGATE_STORE_ENABLED": "false",
        }
        command = [sys.executable, "-P", "-m", "headgate_cli", process, "--data-dir", str(self.folder / "data")]
        self._run([*command, *flags], environment)

    def _run(self, command: Sequence[str], environment: dict[str, str]) -> None:
        with (self.folder / "log").open("ab") as log:
            self.running.append(subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log))

    def end(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(40)


@pytest.fixture
def parts(short_dir: Path) -> Iterator[Parts]:
    made = Parts(short_dir)
    yield made
    made.end()


@pytest.mark.parametrize("older", ["gateway", "service"])
def test_every_event_is_stored_whichever_is_upgraded_first(
    parts: Parts, before: list[str], older: str, wait_until: Callable[..., None]
) -> None:
    (parts.folder / "headgate.toml").write_text('[limits]\nrate = "100000/60s"\n')
    parts.start("service", before if older == "service" else THIS)
    parts.start("gateway", before if older == "gateway" else THIS, "--http", f"127.0.0.1:{parts.http}")
    with httpx.Client(base_url=f"http://127.0.0.1:{parts.http}", timeout=20) as client:

        def ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, f"both serve: {(parts.folder / 'log').read_text()[-3000:]}", 60)
        body = {"events": [{"type": "a"}, {"type": "b"}]}
        answers = [client.post("/api/analytics", json=body) for _ in range(REQUESTS)]
        assert {answer.status_code for answer in answers} == {200}
        receipts = [answer.headers["headgate-receipt"] for answer in answers]
        found = [client.get(f"/v1/receipts/{receipt}").json() for receipt in receipts]
    assert [(one["received"], one["accepted"], one["durable"]) for one in found] == [(2, 2, True)] * REQUESTS
