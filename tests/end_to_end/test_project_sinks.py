"""Two tenants deploy webhooks of one name, and one of them rolls back and forth while its events come in."""

import http.server
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from headgate.v1 import delivery_service_pb2 as delivery
from headgate.v1 import delivery_service_pb2_grpc as delivery_grpc
from headgate.v1 import deploy_service_pb2 as deploy
from headgate.v1 import deploy_service_pb2_grpc as deploy_grpc
from standardwebhooks.webhooks import Webhook

HEADGATE_TOML = "[deploy]\nallow_private = true\n"
SECRETS = {"shop": "whsec_" + "c2hvcHMh" * 4, "blog": "whsec_" + "YmxvZ3Mh" * 4}


class Receiver:
    """Takes webhooks at a path for each tenant and version, checks whose they are, and honours their ids."""

    def __init__(self) -> None:
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.bodies: dict[str, set[bytes]] = defaultdict(set)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                tenant, _, version = self.path.strip("/").partition("/")
                Webhook(SECRETS[tenant]).verify(body, dict(self.headers))
                batch = self.headers["webhook-id"]
                if batch not in receiver.bodies:
                    events = json.loads(body)["data"]["events"]
                    receiver.taken[f"{tenant}/{version}"] += [event["eventId"] for event in events]
                receiver.bodies[batch].add(body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, tenant: str) -> list[str]:
        return [one for path, names in self.taken.items() if path.startswith(f"{tenant}/") for one in names]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


class Tenant:
    """A project and what it sent."""

    def __init__(self, headgate: Any, slug: str, url: str) -> None:
        made = headgate.json("project", "create", slug, "--slug", slug)
        self.slug, self.url, self.headgate, self.key = slug, url, headgate, made["keys"]["public"]
        self.sent: list[str] = []

    def config(self, version: int) -> dict[str, Any]:
        hook = {
            "name": "hook",
            "use": "webhook",
            "route": 'event.name == "kept"',
            "config": {"url": f"{self.url}/{self.slug}/v{version}", "max_age": 0.05},
            "secrets": {"secret": SECRETS[self.slug]},
        }
        return {"sinks": [hook]}

    def deploy(self, version: int) -> Any:
        file = self.headgate.data_dir / f"{self.slug}.yaml"
        file.write_text(json.dumps(self.config(version)))
        return self.headgate.json("deploy", "-f", str(file), "--project", self.slug, "--yes")

    def activate(self, version: int) -> None:
        with self.operator() as channel:
            deploy_grpc.DeployServiceStub(channel).ActivateDeploy(
                deploy.ActivateDeployRequest(project=self.slug, version=version)
            )

    def operator(self) -> grpc.Channel:
        return grpc.insecure_channel(f"unix:{self.headgate.data_dir}/run/admin.sock")

    def send(self, *names: str) -> None:
        events = [
            {"event": name, "timestamp": "2026-02-03T15:30:00Z", "distinctId": "u", "sessionId": "s", "properties": {}}
            for name in names
        ]
        answer = httpx.post(self.headgate.http, json=events, headers={"X-API-Key": self.key}, timeout=20)
        answer.raise_for_status()
        self.sent += [name for name in names if name == "kept"]

    def row(self) -> Any:
        with self.operator() as channel:
            rows = delivery_grpc.DeliveryServiceStub(channel).ListSinks(delivery.ListSinksRequest()).sinks
        return next((row for row in rows if row.name == f"{self.slug}/hook"), None)


@pytest.mark.timeout(180)
def test_deploys_and_roll_backs_under_load_lose_nothing_and_mix_nothing(headgate, receiver, wait_until):
    shop, blog = (Tenant(headgate, slug, receiver.url) for slug in ("shop", "blog"))
    assert [shop.deploy(1)["version"], blog.deploy(1)["version"]] == [1, 1]
    assert shop.deploy(1) == {"version": 1, "changed": []}
    shop.send("kept", "other")
    wait_until(lambda: len(receiver.of("shop")) == 1, "the first event arrives")
    shop.deploy(2)

    stopped, load = threading.Event(), []
    for tenant in (shop, blog):

        def send(tenant: Tenant = tenant) -> None:
            while not stopped.wait(0.01):
                tenant.send("kept", "other", "kept")

        load.append(threading.Thread(target=send))
        load[-1].start()
    for version in (1, 2, 1):
        before = len(receiver.taken[f"shop/v{version}"])
        shop.activate(version)
        wait_until(lambda at=f"shop/v{version}", before=before: len(receiver.taken[at]) > before + 3, "it is active")
    stopped.set()
    for thread in load:
        thread.join()
    for tenant in (shop, blog):
        wait_until(lambda tenant=tenant: len(receiver.of(tenant.slug)) >= len(tenant.sent), "all of it arrives")
        assert len(set(receiver.of(tenant.slug))) == len(receiver.of(tenant.slug)) == len(tenant.sent)
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values())
    for tenant in (shop, blog):
        wait_until(lambda tenant=tenant: tenant.row().pending == 0, "the books are closed")
        row = tenant.row()
        assert (row.project, row.delivered, row.dead, row.difference) == (tenant.slug, len(tenant.sent), 0, 0)
        assert row.filtered > 0

    shop.activate(0)
    wait_until(lambda: shop.row() is None, "it is known no more")
    time.sleep(2)
    shop.send("kept")
    blog.send("kept")
    wait_until(lambda: len(receiver.of("blog")) == len(blog.sent), "the other's goes on")
    assert len(receiver.of("shop")) == len(shop.sent) - 1
    kept = b"".join(file.read_bytes() for file in headgate.data_dir.glob("control.db*"))
    seen = [
        headgate.log_file.read_bytes(),
        kept,
        headgate.run("deploy", "show", "1", "--project", "blog").stdout.encode(),
    ]
    assert not [text for text in seen if b"whsec_" in text]


def test_what_a_tenant_may_not_have_is_refused_with_its_place(headgate):
    tenant = Tenant(headgate, "elsewhere", "http://169.254.169.254")
    SECRETS["elsewhere"] = SECRETS["shop"]
    refused = headgate.run(
        "deploy", "-f", _written(headgate, tenant.config(1)), "--project", "elsewhere", "--yes", check=False
    )
    assert refused.returncode == 1
    assert "/sinks/0/config/url" in refused.stderr
    assert headgate.json("deploy", "history", "--project", "elsewhere")["deploys"] == []


def _written(headgate: Any, config: dict[str, Any]) -> str:
    file = headgate.data_dir / "refused.yaml"
    file.write_text(json.dumps(config))
    return str(file)
