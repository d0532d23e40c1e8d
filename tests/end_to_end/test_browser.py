"""A page of another origin, in a real Chromium, sends as the Xaiku browser client does: by fetch and by beacon."""

import http.server
import shutil
import threading
from collections.abc import Iterator

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: install it to run the browser tests")

PAGE = b"""<!doctype html><title>shop</title><script>
const gateway = new URLSearchParams(location.search).get("gateway");
const key = new URLSearchParams(location.search).get("key");
const event = (eventName) => ({eventName, experimentId: "exp_1", sessionId: "s", userId: "", pathname: "/shop"});
window.sendFetch = async () => {
  const answer = await fetch(gateway + "/api/v1/analytics", {
    method: "POST",
    headers: {Accept: "application/json", "Content-Type": "application/json", "X-public-key": key},
    body: JSON.stringify({events: [event("by_fetch")]}),
  });
  return {status: answer.status, body: await answer.json(), receipt: answer.headers.get("Headgate-Receipt"),
          rate: answer.headers.get("RateLimit")};
};
window.askExperiments = async () => {
  const answer = await fetch(gateway + "/api/v1/experiments", {
    headers: {"X-public-key": key, "X-experiment-ids": "", "X-xaiku-test": "true"},
  });
  return {status: answer.status, body: await answer.json()};
};
window.sendWrong = async () => {
  const answer = await fetch(gateway + "/api/v1/analytics", {
    method: "POST", headers: {"Content-Type": "application/json", "X-public-key": "nonsense"}, body: "{}",
  });
  return {status: answer.status, body: await answer.json()};
};
addEventListener("pagehide", () => {
  navigator.sendBeacon(gateway + "/api/v1/analytics", JSON.stringify({events: [event("by_beacon")], pkey: key}));
  navigator.sendBeacon(gateway + "/api/v1/analytics",
    new Blob([JSON.stringify({events: [event("by_json_beacon")], pkey: key})], {type: "application/json"}));
});
</script>"""


class _Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    """A page's address, on an origin that is not the gateway's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(shop: str, headgate):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page()
        page.goto(f"{shop}?gateway={headgate.http}&key={headgate.keys['public']}")
        yield page
        browser.close()


def test_a_page_of_another_origin_sends_by_fetch_and_by_beacon(headgate, page, wait_until):
    answer = page.evaluate("sendFetch()")
    assert (answer["status"], answer["body"]) == (200, {"success": True, "received": 1})
    # The page may read what the gateway exposes.
    assert answer["receipt"].startswith("rcpt_")
    assert answer["rate"].startswith('"')
    page.goto("about:blank")

    def names() -> set[str]:
        return {event["name"] for event in headgate.written()}

    wait_until(lambda: {"by_fetch", "by_beacon", "by_json_beacon"} <= names(), "all three events are written")
    (beacon,) = [event for event in headgate.written() if event["name"] == "by_beacon"]
    assert beacon["experiment"] == {"experimentId": "exp_1"}
    assert beacon["page"] == {"path": "/shop"}


def test_a_page_may_ask_for_experiments_and_read_an_error(page):
    assert page.evaluate("askExperiments()") == {"status": 200, "body": {"experiments": {}}}
    answer = page.evaluate("sendWrong()")
    assert (answer["status"], answer["body"]) == (401, {"error": "Missing or malformed public key"})
