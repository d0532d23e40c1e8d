"""The session's cookie, and which requests come from a page of this very origin."""

from ipaddress import ip_network

import pytest
from headgate_dialects.formats.browser import foreign_origin, person_of, same_origin, session_of
from headgate_gateway.http.origin import over_tls, set_cookie

HOST = {"host": "headgate.example.com"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://headgate.example.com"},
        {"origin": "http://headgate.example.com"},
        {"origin": "https://HEADGATE.example.com:443"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": "https://headgate.example.com"},
    ],
    ids=str,
)
def test_a_page_of_this_origin(headers):
    assert same_origin(HOST | headers)
    assert not foreign_origin(HOST | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ""},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "https://headgate.example.com:8443"},
        {"origin": "https://headgate.example.com.evil.example"},
        {"origin": "https://headgate.example.com@evil.example"},
        {"origin": "ftp://headgate.example.com"},
        {"origin": "headgate.example.com"},
        {"origin": "http://[::1"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site", "origin": "https://headgate.example.com"},
    ],
    ids=str,
)
def test_a_page_of_another(headers):
    assert not same_origin(HOST | headers)
    assert foreign_origin(HOST | headers)


def test_what_shows_no_origin_is_neither():
    assert not same_origin(HOST)
    assert not foreign_origin(HOST)
    assert not same_origin({"origin": "https://"})


@pytest.mark.parametrize(
    ("cookie", "held"),
    [
        ("better-auth.session_token=a", "a"),
        ('x=1; better-auth.session_token="a"; y=2', "a"),
        ("better-auth.session_token=; better-auth.session_token=b", "b"),
        ("xbetter-auth.session_token=a", ""),
        ("__Secure-better-auth.session_token=a", ""),
        ("better-auth.session_token", ""),
        ("", ""),
    ],
)
def test_the_cookie_is_found_by_its_very_name(cookie, held):
    assert session_of({"cookie": cookie}) == held
    assert person_of({"cookie": cookie}) == (f"session:{held}" if held else "")


def test_a_bearer_token_comes_before_the_cookie():
    assert person_of({"authorization": "bearer  t ", "cookie": "better-auth.session_token=a"}) == "bearer:t"
    assert person_of({"authorization": "Basic t", "cookie": "better-auth.session_token=a"}) == "session:a"


def test_the_cookie_is_set_and_removed():
    assert set_cookie("hgs_1", 60, secure=True) == (
        "better-auth.session_token=hgs_1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
    )
    assert "Max-Age=0" in set_cookie("", 60, secure=False)


@pytest.mark.parametrize(
    ("scheme", "peer", "headers", "secure"),
    [
        ("https", "203.0.113.1", {}, True),
        ("http", "10.0.0.1", {"x-forwarded-proto": "https"}, True),
        ("http", "10.0.0.1", {"x-forwarded-proto": "http, https"}, True),
        ("http", "10.0.0.1", {"forwarded": 'for=203.0.113.1;proto="https";host=x'}, True),
        ("http", "10.0.0.1", {"x-forwarded-proto": "http"}, False),
        ("http", "10.0.0.1", {}, False),
        ("http", "203.0.113.1", {"x-forwarded-proto": "https"}, False),
        ("http", "", {"x-forwarded-proto": "https"}, False),
    ],
)
def test_who_speaks_tls(scheme, peer, headers, secure):
    assert over_tls(scheme, peer, headers, [ip_network("10.0.0.0/8")]) is secure
