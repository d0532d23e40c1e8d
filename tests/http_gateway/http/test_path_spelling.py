"""Two APIs whose paths differ in the slash at their end alone each get their own requests."""

import pytest

POSTHOG = {"api_key": "pk_live_1", "batch": [{"event": "a", "distinct_id": "u"}]}
AMPLITUDE = {"api_key": "pk_live_1", "events": [{"event_type": "a", "user_id": "u"}]}

TAKEN = {"code": 200, "events_ingested": 1, "server_upload_time": 1770000000123}


@pytest.mark.parametrize(
    ("path", "body", "dialect", "answer"),
    [
        ("/batch/", POSTHOG, "posthog", {"status": "Ok"}),
        ("/batch", AMPLITUDE, "amplitude", TAKEN),
        (
            "/2/httpapi/",
            AMPLITUDE,
            "amplitude",
            TAKEN,
        ),
        ("/capture", POSTHOG, "posthog", {"status": "Ok"}),
    ],
)
async def test_each_gets_its_own(gateway, http, path, body, dialect, answer):
    told = await http.post(path, json=body)
    assert (told.status_code, told.json()) == (200, answer)
    assert [request.access.name for request in gateway.client.requests] == [dialect]


@pytest.mark.parametrize("path", ["/batch", "/batch/"])
async def test_other_methods_are_refused_in_its_own_words(http, path):
    told = await http.get(path)
    assert (told.status_code, told.headers["allow"]) == (405, "POST, OPTIONS")
    assert ("detail" in told.json()) == path.endswith("/")
    preflight = await http.options(
        path, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
