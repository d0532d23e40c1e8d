"""PostHog's published Python SDK, unmodified but for its host."""

import pytest

posthog = pytest.importorskip("posthog")


def test_a_hundred_events_past_a_killed_gateway_and_a_limit(sdk_run):
    failed = []
    client = posthog.Posthog(
        sdk_run.key,
        host=sdk_run.url,
        flush_at=7,
        gzip=True,
        on_error=lambda error, batch: failed.append(error),
    )
    for number in range(100):
        if number == 50:
            sdk_run.kill_gateway()
        client.capture("ordered", distinct_id="u-1", properties={"n": number})
    client.shutdown()
    assert not failed

    written = sdk_run.check("posthog")
    assert {(event["name"], event["distinctId"]) for event in written} == {("ordered", "u-1")}
    assert {event["sdk"]["name"] for event in written} == {"posthog-python"}
    assert client.get_all_flags("u-1") == {}
