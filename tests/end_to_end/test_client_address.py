"""The Codcompass API knows no key: its rate limit is a client address's, behind a trusted proxy too."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

TOML = """
[limits]
codcompass_rate = "3/1h"

[proxies]
trusted = ["127.0.0.2/32", "10.0.0.0/8"]
"""
PROXY, PERSON = "127.0.0.2", "127.0.0.3"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only loopback address")


@pytest.fixture
def send(make_headgate: Callable[[str], Any]) -> Iterator[Callable[..., httpx.Response]]:
    """Sends an event from a loopback address, with an `X-Forwarded-For` or `Forwarded` where one is given."""
    url = make_headgate(TOML).start().http

    def send(source: str, **headers: str) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=20) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.post(f"{url}/api/analytics", json={"events": [{"type": "x"}]}, headers=named)

    return send


def test_each_client_address_has_a_window_of_its_own(send: Callable[..., httpx.Response]) -> None:
    def statuses(*answers: httpx.Response) -> list[int]:
        return [answer.status_code for answer in answers]

    # Without a proxy it is the peer's, whatever the request claims.
    assert statuses(*(send(PERSON, X_Forwarded_For=f"203.0.113.{n}") for n in range(4))) == [200, 200, 200, 429]
    assert statuses(send("127.0.0.4")) == [200]

    # Behind one it is the last hop that is no trusted proxy: what the client itself wrote before it does not count.
    first = "203.0.113.7"
    assert statuses(*(send(PROXY, X_Forwarded_For=first) for _ in range(2))) == [200, 200]
    assert statuses(send(PROXY, X_Forwarded_For=f"198.51.100.1, {first}, 10.1.2.3")) == [200]
    refused = send(PROXY, X_Forwarded_For=f"198.51.100.2, {first}")
    assert (refused.status_code, refused.json()) == (429, {"error": "Rate limit exceeded"})
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit-policy"] == '"burst";q=3;w=3600'
    assert statuses(send(PROXY, Forwarded=f"for={first};proto=https")) == [429]
    assert statuses(send(PROXY, X_Forwarded_For="203.0.113.8"), send(PROXY)) == [200, 200]
