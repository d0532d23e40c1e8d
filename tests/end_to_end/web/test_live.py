"""Live: what comes and what is refused shows within moments, as text, and one event can be followed to its sinks."""

import json
import re
from typing import Any

import httpx
import pytest

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture
def live(browser) -> Any:
    page = browser.open("/app/p/default/live")
    page.get_by_role("status").get_by_text("live").wait_for()
    return page


def test_events_and_refused_requests_show_with_their_reason(headgate, browser, live, send):
    sent = send(HOSTILE, plan="pro", note=HOSTILE)
    live.get_by_role("button", name="onerror").wait_for()
    broken = {
        "event": "broken",
        "timestamp": "never",
        "distinctId": "u9",
        "sessionId": "s",
        "properties": {"a": HOSTILE},
    }
    answer = httpx.post(headgate.http, headers={"X-API-Key": headgate.keys["public"]}, json=broken)
    assert answer.status_code == 400
    live.get_by_text("timestamp:").first.wait_for()
    row = live.locator("tr", has_text="refused")
    row.get_by_role("button").click()
    assert HOSTILE in json.loads(live.locator("#detail-json").inner_text())["properties"]["a"]
    assert "timestamp" in live.locator("#detail-facts").inner_text()
    browser.check_accessible()
    live.get_by_label("accepted").check()
    assert live.locator("tr", has_text="refused").count() == 0
    live.get_by_role("button", name="onerror").click()
    live.get_by_text("Where is it now?").click()
    live.get_by_text("delivered").first.wait_for()
    assert HOSTILE in live.inner_text("main")
    receipt = sent.headers["headgate-receipt"]
    page = browser.open(f"/app/p/default/live?q={receipt}")
    assert page.locator("article").count() == 1
    assert browser.open("/app/p/default/live?q=nothing").get_by_text("It is not among").count() == 1
    assert page.evaluate("window.hacked") is None
    browser.check()
    browser.check_accessible()


def test_it_pauses_and_filters(browser, live, send):
    live.get_by_role("button", name="Pause").click()
    send("while_paused")
    live.get_by_text(re.compile(r"paused, [1-9]\d* wait")).wait_for()
    assert live.get_by_role("button", name="while_paused").count() == 0
    live.get_by_role("button", name="Go on").click()
    live.get_by_role("button", name="while_paused").wait_for()
    send("another")
    live.get_by_role("button", name="another").wait_for()
    live.get_by_label("Filter by").fill("while_p")
    assert live.get_by_role("button", name="another").count() == 0
    assert live.get_by_role("button", name="while_paused").count() == 1
    browser.check()


def test_who_is_no_member_sees_nothing(headgate, client, owner, new_browser):
    assert client.get("/api/projects/default/events/search?text=x").status_code == 401
    client.post("/app/sign-in", data=owner)
    assert client.get("/app/p/other/live").status_code == 404
    found = client.get("/api/projects/default/events/search", params={"text": "u1"}).json()
    assert found["complete"]
    assert {one["event"]["distinctId"] for one in found["events"]} == {"u1"}
    lines = client.get("/api/projects/default/events?last=10&follow=false&refused=true").text.splitlines()
    refused = [line["refused"] for line in map(json.loads, filter(None, lines)) if "refused" in line]
    assert refused[0]["reason"] == "INVALID"
    assert refused[0]["faults"]
