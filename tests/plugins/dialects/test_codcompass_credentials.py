"""Whom Codcompass takes a request to come from."""

import pytest
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.sdk.dialect import Inbound

COOKIE = {"host": "events.example", "cookie": "better-auth.session_token=s1"}
# The first is read by the short cut for usual bodies, the second by the general rules.
BODIES = [b'{"events":[{"type":"a","payload":{}}]}', b'{"events":[{"type":"a","extra":1,"userId":null}]}']


def credential(headers: dict[str, str], body: bytes) -> str:
    return Codcompass().parse(Inbound(headers, body)).credential


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "https://shop.events.example"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "cross-site"}],
    ids=str,
)
def test_a_cookie_that_a_page_of_another_origin_had_sent_counts_for_nothing(headers, body):
    assert credential(COOKIE | headers, body) == ""


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("headers", [{"origin": "https://events.example"}, {"sec-fetch-site": "same-origin"}], ids=str)
def test_the_cookie_of_a_page_of_this_origin_counts(headers, body):
    assert credential(COOKIE | headers, body) == "session:s1"


@pytest.mark.parametrize("body", BODIES)
def test_a_bearer_token_counts_from_anywhere(body):
    headers = {"origin": "https://shop.example", "authorization": "Bearer t1"}
    assert credential(COOKIE | headers, body) == "bearer:t1"
