"""`[gateway] in_process = true`: the gateway takes events in by itself, and keeps every promise while it does."""

import os
import signal
import time

import httpx

HEADGATE_TOML = "[gateway]\nin_process = true\n"


def _event(number: int) -> dict[str, object]:
    return {
        "event": "$pageview",
        "timestamp": "2026-02-01T12:00:00Z",
        "distinctId": f"u{number}",
        "sessionId": "s1",
        "properties": {},
    }


def test_events_are_taken_while_the_service_stands_still_and_counted_once(headgate, wait_until) -> None:  # type: ignore[no-untyped-def]
    with httpx.Client(base_url=headgate.http, headers={"X-API-Key": headgate.keys["public"]}, timeout=20) as client:
        first = client.post("/", json=_event(1), headers={"Idempotency-Key": "k1"})
        assert first.json() == {"success": True, "events": 1}
        assert first.headers["ratelimit"].startswith('"burst";r=999')

        service = headgate.pid("service")
        os.kill(service, signal.SIGSTOP)
        try:
            assert client.post("/", json=_event(2)).json() == {"success": True, "events": 1}
        finally:
            os.kill(service, signal.SIGCONT)

        # Killed, the gateway comes back with nothing forgotten: all that counts is in Redis.
        old = headgate.kill("gateway")
        wait_until(lambda: headgate.pid("gateway") not in (None, old), "the gateway runs again")
        again = _until_answered(client, "k1")
        assert again.headers["headgate-receipt"] == first.headers["headgate-receipt"]

        wait_until(lambda: len(headgate.written()) >= 2, "both events are written")
        receipt = client.get(f"/v1/receipts/{first.headers['headgate-receipt']}").json()
        assert (receipt["accepted"], receipt["sinks"][0]["pending"]) == (1, 0)
    assert sorted(event["distinctId"] for event in headgate.written()) == ["u1", "u2"]
    books = next(row for row in headgate.json("sinks", "status")["sinks"] if row["name"] == "jsonl")
    assert (books["accepted"], books["delivered"], books["difference"]) == (2, 2, 0)


def test_a_key_that_is_revoked_or_unknown_opens_nothing(headgate, wait_until) -> None:  # type: ignore[no-untyped-def]
    made = headgate.json("key", "create", "--project", "default", "--kind", "public")
    with httpx.Client(base_url=headgate.http, headers={"X-API-Key": made["key"]}, timeout=20) as client:
        assert client.post("/", json=_event(1)).status_code == 200
        headgate.run("key", "revoke", made["id"])
        wait_until(lambda: client.post("/", json=_event(2)).status_code == 401, "the revoked key is refused", 5)
        assert client.post("/", json=_event(2)).json() == {"error": "Invalid API key"}


def _until_answered(client: httpx.Client, key: str) -> httpx.Response:
    ends = time.monotonic() + 30
    while True:
        try:
            return client.post("/", json=_event(1), headers={"Idempotency-Key": key})
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
