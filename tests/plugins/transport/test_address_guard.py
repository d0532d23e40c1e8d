"""Where a sink's connections may go: many disguises, each tried the whole way to a server that must not be reached."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.abc import AbstractResolver
from headgate_sinks import Misconfigured, Retry
from headgate_sinks.transport.address_guard import AddressGuard, AddressRefused, GuardedResolver, Reach, reach
from headgate_sinks.transport.http import HttpConfig, HttpTarget

PRIVATE_IPV4 = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1",
    "192.168.255.255", "100.64.0.1", "100.127.255.254",
]  # fmt: skip
SPECIAL_IPV4 = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104
    "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PRIVATE_IPV6 = ["::1", "fc00::1", "fd00::1", "fdff:ffff::1", "fd12:3456:789a::1"]
SPECIAL_IPV6 = [
    "::", "fe80::1", "febf::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1", "fd00:ec2::254", "fd20:ce::254",
    "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
    "4000::1", "64:ff9b:1::7f00:1", "64:ff9b:1:7f00:0:100::", "::7f00:1", "::8.8.8.8", "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
    "2a00:1450::1", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8",
]  # fmt: skip


def disguises(address: str) -> list[str]:
    """Hosts of URLs that mean an IPv4 address to some resolver or network stack."""
    number = int(IPv4Address(address))
    a, b, c, d = IPv4Address(address).packed
    high, low = number >> 16, number & 0xFFFF
    inverted = number ^ 0xFFFFFFFF
    return [
        address,
        str(number),
        hex(number),
        f"0{number:o}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0x{a:X}.{b}.0{c:o}.{d}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{low}",
        f"00000{a:o}.{b}.{c}.{d}",
        "".join(chr(0xFF10 + int(one)) if one.isdigit() else one for one in address),
        address.replace(".", "。"),
        address.replace(".", "%2E"),
        f"[::ffff:{address}]",
        f"[::ffff:{high:x}:{low:x}]",
        f"[0:0:0:0:0:ffff:{high:x}:{low:x}]",
        f"[::{address}]",
        f"[::ffff:0:{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b::{high:x}:{low:x}]",
        f"[64:ff9b:1::{address}]",
        f"[2002:{high:x}:{low:x}::1]",
        f"[2001:0:{high:x}:{low:x}::1]",
        f"[2001:0:4136:e378:8000:63bf:{inverted >> 16:x}:{inverted & 0xFFFF:x}]",
        f"[fe80::5efe:{address}]",
        f"[2606:4700::5efe:{address}]",
    ]


DISGUISED = [
    host
    for address in (*PRIVATE_IPV4, "169.254.169.254", "0.0.0.0")  # noqa: S104
    for host in disguises(address)
]
PLAIN = [*PRIVATE_IPV4, *SPECIAL_IPV4, *(f"[{one.replace('%', '%25')}]" for one in (*PRIVATE_IPV6, *SPECIAL_IPV6))]
NAMES = ["localhost", "LOCALHOST", "localhost.", "localhost.localdomain"]
VECTORS = list(dict.fromkeys([*PLAIN, *DISGUISED, *NAMES]))


class Resolver(AbstractResolver):
    """Answers each question with the next of several answers, as one does who owns a name."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": one, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for one in self.answers.pop(0)
        ]

    async def close(self):
        pass


@pytest.fixture
async def reached() -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a server on every local address, and what it was sent."""
    sent: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.read(100))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, None, 0)
    ports = [one.getsockname()[1] for one in server.sockets if one.family == socket.AF_INET]
    yield ports[0], sent
    server.close()


async def post(url: str, allow_private: bool | None, resolver: AbstractResolver | None = None) -> int:
    target = HttpTarget(url, HttpConfig(allow_private=allow_private, timeout=2), resolver=resolver)
    try:
        return (await target.post(b"{}", {})).status
    finally:
        await target.close()


def test_there_are_enough_vectors():
    assert len(VECTORS) >= 200


@pytest.mark.parametrize("host", VECTORS)
async def test_a_private_or_special_host_is_never_reached(host, reached):
    port, sent = reached
    with pytest.raises((Misconfigured, Retry)) as raised:
        await post(f"http://{host}:{port}/", allow_private=False)
    assert not sent
    # A host that this machine's resolver does not understand is not an address at all.
    assert raised.type is Misconfigured or "DNSError" in str(raised.value), raised.value


# The plain address by the time a URL is read, which the operator may name.
READ_AS_PLAIN = [host for host in DISGUISED if not host.isascii() or "%2E" in host]


@pytest.mark.parametrize("host", sorted({*DISGUISED, *NAMES[2:]} - {*PLAIN, *READ_AS_PLAIN}))
async def test_a_disguised_host_is_not_taken_for_a_word_of_permission(host, reached):
    port, sent = reached
    with pytest.raises((Misconfigured, Retry)):
        await post(f"http://{host}:{port}/", allow_private=None)
    assert not sent


@pytest.mark.parametrize("host", [*SPECIAL_IPV4, *(f"[{one.replace('%', '%25')}]" for one in SPECIAL_IPV6)])
async def test_permission_for_private_addresses_holds_for_no_special_one(host, reached):
    port, sent = reached
    with pytest.raises(Misconfigured, match="special"):
        await post(f"http://{host}:{port}/", allow_private=True)
    assert not sent


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
@pytest.mark.parametrize("allow_private", [None, True])
async def test_an_operator_may_name_this_machine(host, allow_private, reached):
    port, sent = reached
    assert await post(f"http://{host}:{port}/", allow_private) == 204
    assert len(sent) == 1


async def test_localhost_gives_leave_for_this_machine_alone():
    with pytest.raises(Misconfigured, match="private"):
        await post("http://localhost/", None, Resolver(["10.0.0.1"]))


async def test_a_name_with_one_private_address_among_public_ones_is_refused(reached):
    port, sent = reached
    mixed = ["8.8.8.8", "127.0.0.1"]
    with pytest.raises(Misconfigured, match="private"):
        await post(f"http://shop.example:{port}/", None, Resolver(mixed))
    assert not sent
    # Before anything connects to the public one.
    with pytest.raises(AddressRefused):
        await GuardedResolver(AddressGuard("shop.example", None), Resolver(mixed)).resolve("shop.example", port)


async def test_a_name_is_resolved_once_for_its_check_and_its_connection(reached):
    port, sent = reached
    resolver = Resolver(["127.0.0.1"], ["8.8.8.8"])
    assert await post(f"http://shop.example:{port}/", True, resolver) == 204
    assert resolver.answers == [["8.8.8.8"]]
    assert len(sent) == 1


async def test_a_name_that_turns_private_after_it_was_checked_is_refused(reached):
    port, sent = reached
    target = HttpTarget(f"http://shop.example:{port}/", HttpConfig(), resolver=Resolver(["8.8.8.8"], ["127.0.0.1"]))
    try:
        await target._resolver.resolve("shop.example", port)
        with pytest.raises(Misconfigured, match="private"):
            await target.post(b"", {})
    finally:
        await target.close()
    assert not sent


async def test_nothing_connects_past_the_socket(reached):
    """Whatever a resolver let through."""
    port, sent = reached
    guard = AddressGuard("shop.example", None)
    connector = TCPConnector(resolver=Resolver(["127.0.0.1"]), socket_factory=guard.socket)
    async with ClientSession(connector=connector) as session:
        with pytest.raises(AddressRefused):
            await session.post(f"http://shop.example:{port}/")
    assert not sent


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address):
    assert reach(ip_address(address)) is Reach.PUBLIC
    AddressGuard("shop.example", False).check(address)


@pytest.mark.parametrize("address", [*PRIVATE_IPV4, *PRIVATE_IPV6])
def test_private_addresses_are_told_from_special_ones(address):
    assert reach(ip_address(address)) is Reach.PRIVATE
    if "." in address:
        assert reach(IPv6Address(f"::ffff:{address}")) is Reach.PRIVATE


@pytest.mark.parametrize("address", [*SPECIAL_IPV4, *SPECIAL_IPV6])
def test_special_addresses(address):
    assert reach(ip_address(address)) is Reach.NEVER


def test_what_no_connection_can_go_to_is_refused():
    with pytest.raises(AddressRefused):
        AddressGuard("shop.example", True).check("/run/socket")
