"""Mixpanel's published Python SDK, unmodified but for its host.

It retries nothing over plain HTTP: the application keeps the buffer and flushes again, as its documentation says.
"""

import time

import pytest

mixpanel = pytest.importorskip("mixpanel")


def test_a_hundred_events_past_a_killed_gateway_and_a_limit(sdk_run):
    urls = {f"{name}_url": f"{sdk_run.url}/{path}" for name, path in (("events", "track"), ("import", "import"))}
    consumer = mixpanel.BufferedConsumer(max_size=7, request_timeout=10, **urls)
    client = mixpanel.Mixpanel(sdk_run.key, consumer=consumer)
    for number in range(100):
        if number == 50:
            sdk_run.kill_gateway()
        try:
            if number % 2:
                client.track("u-1", "ordered", {"n": number})
            else:
                client.import_data(None, "u-1", "ordered", 1_795_162_500, {"n": number})
        except mixpanel.MixpanelException:
            # The event is in the buffer.
            time.sleep(0.1)
    ends = time.monotonic() + 60
    while True:
        try:
            consumer.flush()
            break
        except mixpanel.MixpanelException as failed:
            if time.monotonic() > ends:
                pytest.fail(f"it goes on failing: {failed}")
            time.sleep(0.5)

    written = sdk_run.check("mixpanel")
    assert {(event["name"], event["distinctId"]) for event in written} == {("ordered", "u-1")}
