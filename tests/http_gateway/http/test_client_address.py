from ipaddress import ip_network

import pytest
from headgate_gateway.http.client_address import client_address

TRUSTED = [ip_network(name) for name in ("10.0.0.0/8", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("203.0.113.7", {}, "203.0.113.7"),
        ("203.0.113.7", {"x-forwarded-for": "198.51.100.1"}, "203.0.113.7"),
        ("203.0.113.7", {"forwarded": "for=198.51.100.1"}, "203.0.113.7"),
        ("", {"x-forwarded-for": "198.51.100.1"}, ""),
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 198.51.100.1, 10.2.3.4"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "10.9.9.9, 10.2.3.4"}, "10.9.9.9"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1, unknown, 10.2.3.4"}, "10.2.3.4"),
        ("10.0.0.1", {"x-forwarded-for": "garbage"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1:4711"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "2001:DB8::1"}, "2001:db8::1"),
        ("10.0.0.1", {"x-forwarded-for": "[2001:db8::1]:443"}, "2001:db8::1"),
        ("fd00::1", {"x-forwarded-for": "2001:db8::1"}, "2001:db8::1"),
        ("::ffff:10.0.0.1", {"x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        ("::ffff:203.0.113.7", {}, "203.0.113.7"),
        ("10.0.0.1", {"forwarded": 'for=6.6.6.6, For="[2001:db8::1]:4711";proto=https;by=10.0.0.2'}, "2001:db8::1"),
        ("10.0.0.1", {"forwarded": "proto=https;for=198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"forwarded": "for=_hidden"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "for=198.51.100.1", "x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"forwarded": "for=6.6.6.6", "x-forwarded-for": "198.51.100.1"}, "10.0.0.1"),
    ],
)
def test_client_address(peer, headers, address):
    assert client_address(peer, headers, TRUSTED) == address


def test_no_proxy_is_trusted_unless_it_is_named():
    assert client_address("10.0.0.1", {"x-forwarded-for": "198.51.100.1"}, []) == "10.0.0.1"
