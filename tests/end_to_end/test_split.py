"""An installation in parts with TLS, by the settings and commands that docs/guide/operating.md prints."""

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import pytest
import redis
import trustme
from headgate.v1 import event_pb2, ingest_service_pb2
from headgate.v1.ingest_service_pb2_grpc import IngestServiceStub
from headgate_cli.run.embedded_redis import find_server

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "operating.md"
PASSWORD = "a-password-of-redis"
EVENT = {"events": [{"type": "page_view", "userId": "u1"}]}


def printed(language: str) -> str:
    section = PAGE.read_text().split("## Beyond one machine", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@dataclass
class Split:
    """Processes run apart in one folder, with the page's headgate.toml."""

    folder: Path
    authority: trustme.CA
    redis_port: int
    grpc_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
        given = dict(re.findall(r"^export (\w+)=(\S+)", printed("sh"), re.MULTILINE))
        # This machine's redis-server was built without TLS.
        url = given["HEADGATE_REDIS_URL"].replace("rediss://", "redis://").replace("PASSWORD", PASSWORD)
        given["HEADGATE_REDIS_URL"] = url.replace("redis.internal", f"127.0.0.1:{self.redis_port}")
        return {**inherited, **given}

    def certify(self, name: str, authority: trustme.CA | None = None) -> None:
        made = (authority or self.authority).issue_cert("localhost", "127.0.0.1", common_name=name)
        made.private_key_pem.write_to_path(self.folder / f"{name}.key")
        (self.folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def settle(self) -> None:
        """Write the page's settings, the certificates it names, and nothing else."""
        (self.folder / "headgate.toml").write_text(
            printed("toml").replace("services.internal:8081", f"localhost:{self.grpc_port}", 1)
        )
        for name in ("http", "service", "gateway", "client"):
            self.certify(name)
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")

    def start(self, name: str, **environment: str) -> None:
        (command,) = re.findall(rf"^headgate {name}.*$", printed("sh"), re.MULTILINE)
        command = command.replace("0.0.0.0:8081", f"127.0.0.1:{self.grpc_port}")
        command = command.replace("0.0.0.0:8443", f"127.0.0.1:{self.http_port}")
        arguments = [sys.executable, "-m", "headgate_cli", *shlex.split(command, comments=True)[1:]]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                arguments,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, name: str) -> int:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(40)

    def http(self) -> httpx.Client:
        trusting = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        return httpx.Client(base_url=f"https://localhost:{self.http_port}", verify=trusting, timeout=20)

    def readiness(self) -> httpx.Response | None:
        try:
            with self.http() as client:
                return client.get("/readyz")
        except httpx.ConnectError:
            return None

    def keys(self) -> dict[str, str]:
        return json.loads((self.folder / "headgate-data" / "first-start.json").read_text())["keys"]

    def written(self) -> list[dict[str, object]]:
        files = sorted((self.folder / "headgate-data" / "events").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def split(short_dir: Path) -> Iterator[Split]:
    port = free_port()
    (short_dir / "redis").mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--dir", str(short_dir / "redis")]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    server = subprocess.Popen([find_server().path, *options, *durable], stdout=subprocess.DEVNULL)
    made = Split(short_dir, trustme.CA(), port)
    made.settle()
    try:
        with redis.Redis(port=port, password=PASSWORD) as client:
            ends = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < ends
                    time.sleep(0.02)
        yield made
    finally:
        for process in [*made.running.values(), server]:
            process.kill()
            process.wait()


WaitUntil = Callable[..., None]


def is_ready(split: Split) -> bool:
    answer = split.readiness()
    return answer is not None and answer.status_code == 200


def names_service_down(split: Split) -> bool:
    answer = split.readiness()
    return answer is not None and answer.status_code == 503 and answer.json()["dependencies"]["service"] != "ok"


def test_the_page_s_example_takes_an_event_to_the_sink(split: Split, wait_until: WaitUntil) -> None:
    for name in ("service", "forward", "gateway"):
        split.start(name)
    wait_until(lambda: is_ready(split), "the gateway is ready", 60)
    with split.http() as client:
        answer = client.post("/api/analytics", json=EVENT)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "received": 1})
        wait_until(lambda: bool(split.written()), "the event is written")
        assert [event["name"] for event in split.written()] == ["page_view"]
        receipt = answer.headers["headgate-receipt"]
        wait_until(lambda: client.get(f"/v1/receipts/{receipt}").json()["sinks"][0]["delivered"] == 1, "it is settled")

    key = split.keys()["secret"]
    own = grpc.ssl_channel_credentials(
        *((split.folder / file).read_bytes() for file in ("ca.pem", "client.key", "client.pem"))
    )
    assert ingest(split, own, key) == 1
    stranger = trustme.CA().issue_cert("localhost")
    roots = (split.folder / "ca.pem").read_bytes()
    strange = grpc.ssl_channel_credentials(
        roots, stranger.private_key_pem.bytes(), b"".join(blob.bytes() for blob in stranger.cert_chain_pems)
    )
    for credentials in (grpc.ssl_channel_credentials(roots), strange, None):
        with pytest.raises(grpc.RpcError) as refused:
            ingest(split, credentials, key)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{split.http_port}/livez")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://localhost:{split.http_port}/livez")
    for name in ("gateway", "service", "forward"):
        assert split.stop(name) == 0
        assert PASSWORD not in split.log(name)
        assert "Traceback" not in split.log(name)


def ingest(split: Split, credentials: grpc.ChannelCredentials | None, key: str) -> int:
    request = ingest_service_pb2.IngestEventsRequest(events=[event_pb2.Event(name="x", distinct_id="u")])
    target = f"localhost:{split.grpc_port}"
    with grpc.secure_channel(target, credentials) if credentials else grpc.insecure_channel(target) as channel:
        stub = IngestServiceStub(channel)
        return len(stub.IngestEvents(request, metadata=[("authorization", f"Bearer {key}")], timeout=10).results)


def test_a_gateway_that_the_service_does_not_let_in_says_so(split: Split, wait_until: WaitUntil) -> None:
    split.start("service")
    wait_until(lambda: "service listens" in split.log("service"), "the service listens", 60)

    def refused() -> None:
        with split.http() as client:
            answer = client.post("/api/analytics", json=EVENT)
            assert (answer.status_code, answer.json()) == (503, {"error": "Failed to process events"})
            assert answer.headers["retry-after"]

    # Another authority than the service's vouches for this gateway; then it trusts another than the service's own.
    split.certify("gateway", trustme.CA())
    split.start("gateway")
    wait_until(lambda: names_service_down(split), "the gateway says that the service does not answer it", 60)
    refused()
    assert split.stop("gateway") == 0

    split.certify("gateway")
    trustme.CA().cert_pem.write_to_path(split.folder / "ca.pem.other")
    toml = (split.folder / "headgate.toml").read_text()
    (split.folder / "headgate.toml").write_text(toml.replace('service_ca = "ca.pem"', 'service_ca = "ca.pem.other"'))
    split.start("gateway")
    wait_until(lambda: names_service_down(split), "the gateway says that it does not trust the service", 60)
    refused()
    assert "CERTIFICATE_VERIFY_FAILED" in split.log("gateway")
    assert split.stop("gateway") == 0

    (split.folder / "headgate.toml").write_text(toml)
    split.start("gateway", HEADGATE_GATEWAY_TOKEN="another")
    wait_until(lambda: names_service_down(split), "the gateway says that it is not let in", 60)
    refused()
    answer = split.readiness()
    assert answer is not None
    assert answer.json()["dependencies"] == {"service": "refused", "redis": "ok", "counters": "ok", "control-db": "ok"}
    assert "headgate-gateway-token does not match" in split.log("gateway")
    assert split.stop("gateway") == 0

    split.start("gateway")
    wait_until(lambda: is_ready(split), "the gateway is let in", 60)
    assert split.stop("gateway") == 0
    assert split.stop("service") == 0


def test_a_wrong_password_of_redis_is_told_without_it(split: Split, wait_until: WaitUntil) -> None:
    wrong = f"redis://:wrong-{PASSWORD}@127.0.0.1:{split.redis_port}"
    split.start("service", HEADGATE_REDIS_URL=wrong)
    split.start("gateway")

    def redis_is_down() -> bool:
        answer = split.readiness()
        return answer is not None and answer.json()["dependencies"] == {
            "service": "down",
            "redis": "down",
            "counters": "down",
            "control-db": "ok",
        }

    wait_until(redis_is_down, "the gateway says that Redis is down", 60)
    assert split.stop("gateway") == 0
    assert split.stop("service") == 0
    assert "Redis does not answer: invalid username-password pair" in split.log("service")
    assert PASSWORD not in split.log("service") + split.log("gateway")
