"""Sinks: what is wrong is said, and people do about it what their role lets them."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

HEADGATE_TOML = """
[[sinks]]
name = "hook"
use = "webhook"
projects = ["default"]
[sinks.config]
url = "http://127.0.0.1:{port}/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


class Target(http.server.BaseHTTPRequestHandler):
    """Refuses for good what it gets, until it is told otherwise."""

    status = 400

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(Target.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module", autouse=True)
def target() -> Iterator[Any]:
    yield SERVER
    SERVER.shutdown()
    SERVER.server_close()


SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
HEADGATE_TOML = HEADGATE_TOML.format(port=SERVER.server_port)


def test_dead_letters_are_looked_at_sent_again_and_deleted(headgate, browser, client, owner, send, wait_until):
    for name in ("<b>one</b>", "two"):
        assert send(name).status_code == 200

    def letters() -> int:
        return browser.open("/app/p/default/sinks?sink=hook").get_by_role("link", name="Look").count()

    wait_until(lambda: letters() == 2, "both are given up")
    page = browser.page
    browser.check_accessible()
    page.get_by_role("link", name="Look").first.click()
    page.get_by_text("<b>one</b>").first.wait_for()
    assert "400" in page.inner_text("main")
    browser.check_accessible()
    Target.status = 204
    page.get_by_role("button", name="Send it again").click()
    page.get_by_text("1 dead letters are sent to hook again").wait_for()
    wait_until(lambda: letters() == 1, "it is delivered")
    page.get_by_text("Delete all…").click()
    page.get_by_label("to confirm").fill("hok")
    page.get_by_role("button", name="Delete the dead letters of hook").click()
    page.get_by_text("Nothing was deleted").wait_for()
    letters()
    page.get_by_text("Delete all…").click()
    page.get_by_label("to confirm").fill("hook")
    page.get_by_role("button", name="Delete the dead letters of hook").click()
    page.get_by_text("1 dead letters of hook are deleted").wait_for()
    client.post("/app/sign-in", data=owner)
    audit = client.get("/api/projects/default/audit").json()["audit"]
    assert [one["target"] for one in audit if one["what"] in ("dead_letters.purge", "dead_letters.retry")] == [
        "hook"
    ] * 2


def test_a_sink_of_the_project_alone_is_paused_resumed_and_tested(headgate, browser):
    Target.status = 204
    page = browser.open("/app/p/default/sinks")
    hook = page.get_by_label("Sink hook")
    assert page.get_by_label("Sink jsonl").get_by_role("button").count() == 0
    hook.get_by_role("button", name="Pause").click()
    page.get_by_text("hook is paused. Its events wait").wait_for()
    hook.get_by_role("button", name="Resume").click()
    page.get_by_text("hook goes on").wait_for()
    hook.get_by_role("button", name="Test").click()
    page.get_by_text("hook wrote the test event").wait_for()
    browser.check()


def test_a_viewer_sees_no_button_and_is_refused_anyway(headgate, member):
    browser = member("viewer")
    page = browser.open("/app/p/default/sinks")
    assert page.locator("main button").count() == 0
    for does in ("pause", "resume", "test", "retry", "purge"):
        answer = page.context.request.post(
            f"{headgate.http}/app/p/default/sinks",
            form={"sink": "hook", "do": does, "confirm": "hook"},
            headers={"Origin": headgate.http},
        )
        assert (does, answer.status) == (does, 403)
    assert member("member").open("/app/p/default/sinks").get_by_role("button", name="Pause").count() == 0


def test_a_sink_that_others_share_is_the_operators(headgate, client, owner):
    client.post("/api/auth/login", json=owner)
    answer = client.post("/api/projects/default/sinks/jsonl/pause", headers={"Origin": headgate.http})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sink_shared")
