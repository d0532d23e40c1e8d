"""The calls of two published clients, driven in a real Chromium and in Node, with data in every answer."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

CLIENTS = Path(__file__).parent / "clients"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODE = shutil.which("node")
EXPERIMENTS = {
    "formatVersion": 1,
    "experiments": [
        {
            "id": "exp_hero",
            "variants": [
                {"id": 7, "weight": 60, "parts": {"headline": "Buy now"}},
                {"id": "b", "control": True, "parts": {"headline": "Buy"}},
            ],
        },
        {"id": "exp_test", "test": True, "variants": [{"id": "only"}]},
    ],
}
Run = Callable[..., Any]


class Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".mjs": "text/javascript", "": "text/html"}  # noqa: RUF012 - the base class's

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Run]:
    """Runs a client in a page of another origin."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it to run the clients in a browser")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=CLIENTS))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"http://localhost:{serving.server_port}/")

        def run(client: str, *given: str) -> Any:
            return page.evaluate(
                "async ([client, given]) => (await import(`/${client}.mjs`)).run(...given)", [client, list(given)]
            )

        yield run
        browser.close()
    serving.shutdown()
    serving.server_close()


@pytest.fixture(scope="module")
def node() -> Run:
    if NODE is None:
        pytest.skip("no node on PATH: install it to run the clients in Node")

    def run(client: str, *given: str) -> Any:
        command = [NODE, str(CLIENTS / "node.mjs"), client, *given]
        return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    return run


@pytest.fixture(scope="module", params=["chromium", "node"])
def run(request: pytest.FixtureRequest) -> Run:
    client: Run = request.getfixturevalue(request.param)
    return functools.partial(_run, client, request.param)


def _run(client: Run, where: str, name: str, *given: str) -> tuple[Any, str]:
    return client(name, *given, where), where


@pytest.fixture(scope="module", autouse=True)
def deployed(headgate) -> None:
    owner = json.loads((headgate.data_dir / "first-start.json").read_text())["owner"]
    with httpx.Client(base_url=headgate.http, headers={"Origin": headgate.http}, timeout=20) as client:
        assert client.post("/api/auth/login", json=owner).status_code == 200
        answer = client.post("/api/deploy", json=EXPERIMENTS, headers={"X-API-Key": headgate.keys["secret"]})
        assert answer.status_code == 200, answer.text


def written(headgate, wait_until: Callable[..., None], *names: str) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        return {event["name"]: event for event in headgate.written() if event["name"] in names}

    wait_until(lambda: set(found()) == set(names), f"{names} are written")
    return found()


def test_xaiku(headgate, run, wait_until) -> None:
    wait_until(lambda: bool(_experiments(headgate)), "the config is in force")
    report, where = run("xaiku", headgate.http, headgate.keys["public"])
    started = report["started"]
    assert started["status"] == 200
    assert started["chosen"]["exp_hero"] == {"id": 7, "headline": "Buy now", "total": 65} | (
        {"control": None} if "control" in started["chosen"]["exp_hero"] else {}
    )
    assert started["chosen"]["exp_test"]["id"] == "only"
    sent = report["sent"]
    assert (sent["status"], sent["body"]["received"], sent["body"]["rejected"]) == (200, 1, 1)
    assert sent["body"]["details"][0]["field"] == "experimentId"
    assert sent["receipt"]
    assert report["left"]
    assert report["wrong"] == {
        "status": 401,
        "body": {"error": "Missing or malformed public key"},
        "receipt": False,
    }
    events = written(headgate, wait_until, f"sent_{where}", f"left_{where}")
    for event in events.values():
        assert event["experiment"] == {"experimentId": "exp_hero", "variantId": "7", "conversion": True}
        assert event["page"]["path"] == "/pricing"
        assert event["campaign"] == {"source": "news"}
        assert event["properties"]["windowDimensions"] == [800, 600]
        assert event["properties"]["loadTime"] == -3
        assert event["properties"]["comment"] == "caf\u00e9 \ufffd"
        assert "userId" not in event


def _experiments(headgate) -> dict[str, Any]:
    headers = {"X-public-key": headgate.keys["public"]}
    return httpx.get(f"{headgate.http}/api/v1/experiments", headers=headers).json()["experiments"]


def test_prompting_company(headgate, run, wait_until) -> None:
    key = headgate.json("key", "create", "--project", "default", "--kind", "organisation")["key"]
    report, where = run("prompting_company", headgate.http, key, "default")
    first, again = report["first"], report["again"]
    assert (first["status"], first["attempts"]) == (200, 1)
    answered = first["body"]["data"]["data"]
    assert (answered["accepted"], answered["status"], answered["eventId"]) == (True, "accepted", f"visit-{where}")
    assert again["body"] == first["body"]
    wrong = report["wrong"]
    assert (wrong["status"], wrong["body"]["code"], wrong["attempts"]) == (422, "validation_failed", 1)
    assert wrong["body"]["details"][0]["path"] == "/event"
    assert (report["closed"]["status"], report["closed"]["body"]["code"]) == (401, "unauthorized")

    def visits() -> list[dict[str, Any]]:
        return [event for event in headgate.written() if event.get("eventId") == f"visit-{where}"]

    wait_until(lambda: len(visits()) == 1, "the visit is written")
    (event,) = visits()
    assert event["page"]["href"] == "https://shop.example/pricing?ids[]=1&q=a|b#!/top"
    assert event["properties"] == {"plan": "pro", "seats": 3, "trial": False, "coupon": None}
