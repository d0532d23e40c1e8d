"""Addresses as people write them, and ports that are kept for children."""

import socket

import pytest
from headgate_cli.run.up import AddressTaken, HeldAddress
from headgate_cli.settings.values import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("gateway.internal:65535", Address("gateway.internal", 65535)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "8080", ":8080", "host:", "host:x", "host:65536", "::1:80", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address: write"):
        Address.parse(text)


def test_a_wildcard_is_reached_by_the_loopback() -> None:
    assert str(Address("0.0.0.0", 80).reachable) == "127.0.0.1:80"  # noqa: S104 (compared)
    assert str(Address("::", 80).reachable) == "[::1]:80"


def test_a_free_port_is_chosen_and_may_be_listened_on_again_and_again() -> None:
    held = HeldAddress(Address("127.0.0.1", 0), "--http")
    assert held.address.port
    for _ in range(3):
        with socket.create_server(("127.0.0.1", held.address.port)):
            pass


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(AddressTaken, match=r"192\.0\.2\.1:8080 cannot be listened on .*: choose another with --grpc"):
        HeldAddress(Address("192.0.2.1", 8080), "--grpc")
