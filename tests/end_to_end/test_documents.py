"""Each document's own example, sent with curl as printed but for host and key: its answer, and the canonical event."""

import json
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(*arguments: str) -> tuple[int, dict]:
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def shown(headgate, wait_until):
    """The events of some names as the jsonl sink wrote them, which must be what `events tail` shows."""

    def written(names: tuple[str, ...]) -> list[dict]:
        return [event for event in headgate.written() if event["name"] in names]

    def show(*names: str) -> list[dict]:
        wait_until(lambda: len(written(names)) >= len(names), f"the sink has written {names}")
        assert tailed(headgate, names) == written(names)
        return written(names)

    return show


def tailed(headgate, names: tuple[str, ...]) -> list[dict]:
    process = subprocess.Popen(
        [*headgate.command, "events", "tail", "--last", "100", "--data-dir", str(headgate.data_dir)],
        stdout=subprocess.PIPE,
        text=True,
    )
    found: list[dict] = []
    try:
        while len(found) < len(names):
            event = json.loads(process.stdout.readline())
            if event["name"] in names:
                found.append(event)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return found


CODCOMPASS = """{
"timestamp": "2024-05-20T14:32:00Z",
"events": [
{
"type": "article_read",
"payload": { "slug": "nextjs-api-routes", "duration_ms": 4500 }
},
{
"type": "bookmark_added",
"payload": { "article_id": "art_8832" }
}
]
}"""


def test_codcompass(headgate, shown):
    status, answer = curl(
        "-X", "POST", f"{headgate.http}/api/analytics", "-H", "Content-Type: application/json", "-d", CODCOMPASS
    )
    assert (status, answer) == (200, {"success": True, "received": 2})
    article, bookmark = shown("article_read", "bookmark_added")
    assert article["properties"] == {"slug": "nextjs-api-routes", "duration_ms": 4500}
    assert article["clientTime"] == "2024-05-20T14:32:00Z"
    assert article["dialect"] == "DIALECT_CODCOMPASS"
    assert article["projectId"] == headgate.project["id"]
    assert bookmark["properties"] == {"article_id": "art_8832"}


XAIKU = """{
"events": [
{
"eventName": "impression",
"experimentId": "exp_abc123",
"variantId": "var_001",
"sessionId": "sess_xyz",
"pathname": "/landing",
"referrer": ""
},
{
"eventName": "click",
"experimentId": "exp_abc123",
"variantId": "var_001",
"sessionId": "sess_xyz",
"pathname": "/landing",
"clickTarget": "#cta-button"
}
]
}"""


def test_xaiku(headgate, shown):
    status, answer = curl(
        "-X", "POST", f"{headgate.http}/api/v1/analytics",
        "-H", "Accept: application/json", "-H", "Content-Type: application/json",
        "-H", f"X-public-key: {headgate.keys['public']}", "-d", XAIKU,
    )  # fmt: skip
    assert (status, answer) == (200, {"success": True, "received": 2})
    impression, click = shown("impression", "click")
    assert impression["experiment"] == {"experimentId": "exp_abc123", "variantId": "var_001"}
    assert impression["page"] == {"path": "/landing"}
    assert impression["sessionId"] == impression["distinctId"] == "sess_xyz"
    assert click["properties"] == {"clickTarget": "#cta-button"}


REALANALYTICS = """[
    {
      "event": "signup_completed",
      "timestamp": "2026-02-03T15:30:00.000Z",
      "distinctId": "user_123",
      "sessionId": "sess_abc",
      "properties": {
        "plan": "pro",
        "source": "pricing_page"
      }
    }
  ]"""


def test_realanalytics(headgate, shown):
    status, answer = curl(
        "-X", "POST", headgate.http, "-H", "Content-Type: application/json",
        "-H", f"X-API-Key: {headgate.keys['public']}", "-d", REALANALYTICS,
    )  # fmt: skip
    assert (status, answer) == (200, {"success": True, "events": 1})
    (event,) = shown("signup_completed")
    assert event["occurTime"] == "2026-02-03T15:30:00Z"
    assert (event["distinctId"], event["sessionId"]) == ("user_123", "sess_abc")
    assert event["properties"] == {"plan": "pro", "source": "pricing_page"}


def test_prompting_company(headgate, shown):
    made = headgate.json("key", "create", "--project", "default", "--kind", "organisation", "--scope", "events:write")
    body = json.dumps(
        {
            "event": "page_visit",
            "occurredAt": "2026-02-03T15:30:00Z",
            "eventId": "visit-1",
            "page": {"href": "https://example.com/pricing", "pathname": "/pricing"},
            "sdk": {"name": "server-sdk"},
            "properties": {"plan": "pro"},
        }
    )
    answers = [
        curl(
            "-X", "POST", f"{headgate.http}/api/v1/analytics/events", "-H", "Content-Type: application/json",
            "-H", f"x-api-key: {made['key']}", "-d", body,
        )
        for _ in range(2)
    ]  # fmt: skip
    status, answer = answers[0]
    inner = answer["data"]["data"]
    assert (status, answer["ok"], inner["eventId"], inner["status"]) == (200, True, "visit-1", "accepted")
    assert answers[1] == answers[0]
    (event,) = shown("page_visit")
    assert event["page"] == {"href": "https://example.com/pricing", "path": "/pricing"}
    assert (event["eventId"], event["sdk"], event["properties"]) == (
        "visit-1",
        {"name": "server-sdk"},
        {"plan": "pro"},
    )
    assert inner["receivedAt"].replace("Z", "") == event["receiveTime"].replace("Z", "")
