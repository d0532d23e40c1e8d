"""Amplitude's published Python SDK, unmodified but for its host."""

import time

import pytest

amplitude = pytest.importorskip("amplitude")


def test_a_hundred_events_past_a_restarted_gateway_and_a_limit(sdk_run):
    told = []
    config = {
        "flush_queue_size": 12,
        "flush_max_retries": 100,
        "flush_interval_millis": 200,
        "server_url": f"{sdk_run.url}/batch",
        "callback": lambda event, code, message=None: told.append(code),
    }
    client = amplitude.Amplitude(sdk_run.key, amplitude.Config(sdk_run.key, **config))
    for number in range(100):
        if number == 50:
            # Killed with a request on its way, the SDK forgets the batch: it raises what it does not catch.
            sdk_run.end_gateway()
        client.track(amplitude.BaseEvent("ordered", user_id="user-1", event_properties={"n": number}))
    # By itself it waits half a minute before it sends again what was throttled, and only where more comes.
    for _ in range(30):
        if len(told) >= 100:
            break
        time.sleep(2.5)
        client.flush()
    client.shutdown()
    assert told == [200] * 100

    written = sdk_run.check("amplitude")
    assert {(event["name"], event["userId"]) for event in written} == {("ordered", "user-1")}
    assert {event["sdk"]["name"] for event in written} == {"amplitude-python"}
