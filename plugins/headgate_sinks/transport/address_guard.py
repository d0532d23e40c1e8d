"""Which network addresses a sink may connect to, so that a URL leads nobody into the operator's own network."""

import ipaddress
import socket
from enum import Enum
from typing import Any

from aiohttp import AddrInfoType, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(Enum):
    """How far an address reaches."""

    PUBLIC = "public"
    PRIVATE = "private"
    """An internal network's: loopback, RFC 1918, shared address space (CGNAT), unique local."""
    NEVER = "never"
    """Nothing that a sink has to do with: link-local, a cloud's metadata, multicast, reserved, tunnels."""


# What is in none of these tables is public in IPv4, and in IPv6 where it is in 2000::/3.
_NEVER = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        # Metadata and platform services of clouds that are not link-local.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Teredo, benchmarking and ORCHID among others.
        "2001::/23",
        "2001:db8::/32",
        # 6to4, whose relays are gone.
        "2002::/16",
        "3fff::/20",
    )
]
_PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
]
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# On a network without IPv4, public IPv4 hosts resolve into this one.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# The middle of an interface id that carries an IPv4 address (ISATAP), with either value of its universal bit.
_ISATAP = (0x00005EFE, 0x02005EFE)


class AddressRefused(Exception):
    """A connection that is not made. The message names the host, and not the address behind it."""


def reach(address: Address) -> Reach:
    """How far an address reaches; one that carries an IPv4 address reaches as far as that."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return reach(carried)
    if any(address in network for network in _NEVER):
        return Reach.NEVER
    if any(address in network for network in _PRIVATE):
        return Reach.PRIVATE
    if isinstance(address, ipaddress.IPv6Address):
        isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
        return Reach.PUBLIC if address in _GLOBAL_UNICAST and not isatap else Reach.NEVER
    return Reach.PUBLIC


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


class AddressGuard:
    """Lets connections to `host`, as a URL names it, go to public addresses.

    `allow_private`: True lets them go to private ones too, False does not, and None does only where the URL itself says
    so: by `localhost`, or by a private address in its usual form. A name that merely resolves to one is refused.
    """

    def __init__(self, host: str, allow_private: bool | None) -> None:
        self._host = host
        self._loopback = allow_private is None and host.lower() == "localhost"
        self._private = _names_private(host) if allow_private is None else allow_private

    def check(self, address: str) -> None:
        """Raises AddressRefused."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise AddressRefused(f"{self._host} resolves to no internet address") from None
        far = reach(parsed)
        if far is Reach.NEVER:
            raise AddressRefused(f"{self._host} leads to a reserved, link-local or otherwise special address")
        if far is Reach.PRIVATE and not self._private and not (self._loopback and parsed.is_loopback):
            raise AddressRefused(f"{self._host} leads to a private address, and `allow_private` is not true")

    def socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for an address that was resolved or stood in the URL: nothing connects without passing here.

        Raises AddressRefused.
        """
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family, kind, protocol)


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one if any of its addresses is refused: the others might be bait."""

    def __init__(self, guard: AddressGuard, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: list[Any] = await self._resolver.resolve(host, port, family)
        for result in found:
            self._guard.check(result["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _names_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    plain = isinstance(address, ipaddress.IPv4Address) or _carried(address) is None
    return plain and reach(address) is Reach.PRIVATE
