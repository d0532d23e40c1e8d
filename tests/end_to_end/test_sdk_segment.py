"""Segment's published Python SDK, unmodified but for its host."""

import pytest

analytics = pytest.importorskip("segment.analytics.client")


def test_a_hundred_events_past_a_killed_gateway_and_a_limit(sdk_run):
    failed = []
    client = analytics.Client(
        sdk_run.key,
        host=sdk_run.url,
        upload_size=7,
        gzip=True,
        on_error=lambda error, items: failed.append(error),
    )
    for number in range(100):
        if number == 50:
            sdk_run.kill_gateway()
        client.track(user_id="u-1", event="ordered", properties={"n": number})
    client.flush()
    client.shutdown()
    assert not failed

    written = sdk_run.check("segment")
    assert {(event["name"], event["userId"]) for event in written} == {("ordered", "u-1")}
    assert {event["sdk"]["name"] for event in written} == {"analytics-python"}
