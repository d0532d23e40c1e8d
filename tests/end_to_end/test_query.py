"""Queries on a whole Headgate: events go in by the ingestion APIs and are read back as the documents say."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

# As the document prints it.
DOCUMENTED = """{
  "type": "timeseries",
  "projectId": "my-project-slug",
  "event": "$pageview",
  "dateRange": {
    "start": "2026-02-01T00:00:00.000Z",
    "end": "2026-02-03T23:59:59.999Z"
  },
  "metric": "count",
  "filter": {
    "key": "$pathname",
    "op": "eq",
    "value": "/pricing"
  }
}"""
EVERYTHING = {"type": "breakdown", "event": "*", "dateRange": {"start": "2026-01-01", "end": "2030-12-31"}}


@pytest.fixture
def owner(make_headgate, monkeypatch) -> Iterator[tuple[Any, httpx.Client]]:
    """A Headgate with a store, and its owner, signed in."""
    monkeypatch.setenv("HEADGATE_STORE_ENABLED", "true")
    headgate = make_headgate().start()
    person = json.loads((headgate.data_dir / "first-start.json").read_text())["owner"]
    with httpx.Client(base_url=headgate.http, timeout=30) as client:
        assert client.post("/api/auth/login", json=person).status_code == 200
        yield headgate, client


def ask(client: httpx.Client, request: Any, **headers: str) -> httpx.Response:
    body = request if isinstance(request, str) else json.dumps(request)
    return client.post("/api/query", content=body, headers={"Content-Type": "application/json", **headers})


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert set(error) - {"field", "details"} == {"code", "message", "requestId"}
    if "field" in error:
        assert error["details"][0]["field"] == error["field"]
    return answer.status_code, error["code"], error.get("field")


def test_saved_queries(owner):
    headgate, client = owner
    origin = {"Origin": headgate.http}
    request = EVERYTHING | {"projectId": "default", "breakdown": "event"}
    body = {"name": "Events", "query": request}
    assert client.post("/api/queries", json=body).status_code == 403  # No proof of its origin.
    made = client.post("/api/queries", json=body, headers=origin)
    assert made.status_code == 201
    saved = made.json()
    assert (saved["name"], saved["project"], saved["query"]) == ("Events", "default", request)
    assert ask(client, saved["query"]).status_code == 200
    assert client.get("/api/queries?project=default").json() == {"queries": [saved]}
    bad = client.post("/api/queries", json=body | {"query": request | {"breakdown": ""} | {"x": 1}}, headers=origin)
    assert bad.status_code == 400
    assert [fault["field"] for fault in bad.json()["error"]["details"]] == ["x"]

    by_key = {"X-API-Key": headgate.json("key", "create", "--project", "default", "--kind", "secret")["key"]}
    assert httpx.get(f"{headgate.http}/api/queries/{saved['id']}", headers=by_key).json() == saved
    assert httpx.delete(f"{headgate.http}/api/queries/{saved['id']}", headers=by_key).status_code == 401
    client.post("/api/projects", json={"name": "Other", "slug": "other"}, headers=origin)
    other = {"X-API-Key": headgate.json("key", "create", "--project", "other", "--kind", "secret")["key"]}
    gone = httpx.get(f"{headgate.http}/api/queries/{saved['id']}", headers=other)
    assert refusal(gone) == (404, "saved_query_unknown", None)
    moved = client.put(
        f"/api/queries/{saved['id']}", json=body | {"query": request | {"projectId": "other"}}, headers=origin
    )
    assert moved.json()["error"]["details"][0]["field"] == "projectId"
    changed = client.put(f"/api/queries/{saved['id']}", json=body | {"name": "All"}, headers=origin).json()
    assert changed["name"] == "All"
    assert client.delete(f"/api/queries/{saved['id']}", headers=origin).status_code == 200
    assert client.get(f"/api/queries/{saved['id']}").status_code == 404


def test_events_of_every_api_are_read_back(owner, wait_until):
    headgate, client = owner
    made = client.post(
        "/api/projects", json={"name": "Mine", "slug": "my-project-slug"}, headers={"Origin": headgate.http}
    ).json()
    event = {"event": "$pageview", "distinctId": "u1", "sessionId": "s1", "properties": {"$pathname": "/pricing"}}
    sent = [event | {"timestamp": f"2026-02-0{day}T12:00:00.000Z"} for day in (1, 3, 3, 4)]
    sent.append(sent[0] | {"properties": {"$pathname": "/"}})
    answer = httpx.post(headgate.http, json=sent, headers={"X-API-Key": made["keys"]["public"]})
    assert answer.json() == {"success": True, "events": 5}

    organisation = headgate.json("key", "create", "--project", "default", "--kind", "organisation")["key"]
    public = headgate.keys["public"]
    visit = {"event": "page_visit", "page": {"href": "https://example.com/pricing", "pathname": "/pricing"}}
    click = {"eventName": "click", "experimentId": "e", "sessionId": "s2", "pathname": "/pricing", "userId": "u2"}
    posts = (
        ("/api/analytics", {"events": [{"type": "page_view", "payload": {"$pathname": "/pricing"}}]}, {}),
        ("/api/v1/analytics", {"events": [click]}, {"X-public-key": public}),
        ("/", [event | {"timestamp": "2026-02-01"}], {"X-API-Key": public}),
        ("/api/v1/analytics/events", visit, {"x-api-key": organisation}),
    )
    for path, body, headers in posts:
        assert httpx.post(f"{headgate.http}{path}", json=body, headers=headers).status_code == 200

    request = EVERYTHING | {"projectId": "default", "breakdown": "event", "refresh": True}
    request["filter"] = {"key": "$pathname", "op": "eq", "value": "/pricing"}
    names = ["$pageview", "click", "page_view", "page_visit"]

    def found() -> list[str]:
        return [row["key"] for row in ask(client, request).json()["results"]]

    wait_until(lambda: found() == names, "the events of all APIs are in the store")
    assert [row["value"] for row in ask(client, request).json()["results"]] == [1, 1, 1, 1]

    anew = json.loads(DOCUMENTED) | {"refresh": True}
    # The two projects' events go to the store in batches of their own.
    wait_until(lambda: ask(client, anew).json()["results"][0]["total"] == 3, "the other project's events are there")
    answer = ask(client, DOCUMENTED)
    assert answer.status_code == 200
    assert answer.json()["results"] == [
        {
            "key": None,
            "total": 3,
            "data": [
                {"time": "2026-02-01T00:00:00+00:00", "value": 1},
                {"time": "2026-02-02T00:00:00+00:00", "value": 0},
                {"time": "2026-02-03T00:00:00+00:00", "value": 2},
            ],
        }
    ]
    # Nothing is changed, so that another site's page may as well be told no.
    again = ask(client, DOCUMENTED, Origin="https://elsewhere.example")
    assert again.json()["meta"]["cached"] is True
    assert again.json()["meta"]["requestId"] != answer.json()["meta"]["requestId"]

    table = ask(client, DOCUMENTED, Accept="text/csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.DictReader(io.StringIO(table.text)))[2] == {
        "key": "",
        "isOther": "",
        "period": "current",
        "time": "2026-02-03T00:00:00+00:00",
        "value": "2",
    }
    for accept in ("application/json", "*/*", "text/csv;q=0.5, application/json", "text/html"):
        assert ask(client, DOCUMENTED, Accept=accept).headers["content-type"] == "application/json"

    metric = json.loads(DOCUMENTED) | {"type": "metric"}
    leaf = {"key": "plan", "op": "in", "value": ["🙂" * 500] * 90}
    assert ask(client, metric | {"filter": leaf}).json()["results"] == [{"value": 0}]
    too_much = leaf | {"value": ["🙂" * 500] * 110}
    for request_, expected in (
        ("{", (400, "bad_request", None)),
        ("[]", (400, "invalid_argument", "body")),
        ({}, (400, "invalid_query", "projectId")),
        (metric | {"colour": 1}, (400, "unknown_field", "colour")),
        (metric | {"projectId": "nobody-has-it"}, (404, "project_unknown", None)),
        (metric | {"filter": leaf | {"op": "regex", "value": "("}}, (400, "invalid_regex", "filter")),
        (metric | {"filter": too_much}, (400, "filter_too_large", "filter")),
        (json.loads(DOCUMENTED) | {"interval": "minute"}, (422, "too_many_buckets", "interval")),
    ):
        assert refusal(ask(client, request_)) == expected

    several = ask(client, metric | {"metric": "visits", "refresh": "no", "colour": 1}).json()["error"]
    assert [detail["field"] for detail in several["details"]] == ["metric", "refresh", "colour"]
    assert several["details"][2]["message"] == "there is no such field"

    for number, (key, project, status) in enumerate(
        [
            (made["keys"]["secret"], "my-project-slug", 200),
            (made["keys"]["secret"], "default", 404),
            (headgate.json("key", "create", "--project", "default", "--kind", "secret")["key"], "default", 200),
            (organisation, "default", 403),
            (public, "default", 401),
        ]
    ):
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
            # Without the cookie of the session.
            asked = httpx.post(f"{headgate.http}/api/query", json=metric | {"projectId": project}, headers=headers)
            assert asked.status_code == status, (number, asked.text)

    schema = client.get("/api/projects/default/schema").json()
    events = {one["name"]: one for one in schema["events"]}
    assert {"click", "page_view", "page_visit"} <= events.keys()
    assert events["page_view"]["properties"] == [
        {
            "key": "$pathname",
            "types": ["string"],
            "examples": ["/pricing"],
            "count": 1,
            "share": 1.0,
            "lastSeen": events["page_view"]["lastSeen"],
        }
    ]
    by_key = httpx.get(
        f"{headgate.http}/api/projects/my-project-slug/schema", headers={"X-API-Key": made["keys"]["secret"]}
    )
    assert by_key.status_code == 200
    assert client.get("/api/projects/my-project-slug/schema?days=367").status_code == 400
    assert client.get("/api/projects/nobody-has-it/schema").status_code == 404

    headgate.kill("store")
    gone = ask(client, metric | {"refresh": True})
    # Where it is back already, it is as if nothing had been.
    if gone.status_code != 200:
        assert refusal(gone) == (503, "store_unavailable", None)
        assert gone.headers["retry-after"] == "1"
    wait_until(lambda: ask(client, metric | {"refresh": True}).status_code == 200, "the store answers again")
    assert ask(client, metric | {"refresh": True}).json()["results"] == [{"value": 3}]
