"""Where a request comes from, seen through the proxies that the operator trusts."""

import ipaddress
import re
from collections.abc import Mapping, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)', re.IGNORECASE)


def client_address(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> str:
    """Return the peer's address, or the last hop that is not a trusted proxy's where the peer is one.

    Hops are read from X-Forwarded-For or Forwarded, nearest first, as far as they can be read. A proxy that writes one
    of the two passes the other on as its client made it up, so where both are there and disagree neither is believed.
    """
    if not trusted and not peer.startswith("::ffff:"):
        return peer
    address = _address(peer)
    if address is None or not _within(address, trusted):
        return peer if address is None else str(address)
    simple = headers.get("x-forwarded-for")
    structured = headers.get("forwarded")
    by_simple = _walk(address, simple.split(","), trusted) if simple else None
    by_structured = _walk(address, map(_for, structured.split(",")), trusted) if structured else None
    if by_simple and by_structured and by_simple != by_structured:
        return str(address)
    return str(by_simple or by_structured or address)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether the peer is one of the trusted proxies."""
    address = _address(peer) if trusted else None
    return address is not None and _within(address, trusted)


def _walk(peer: Address, hops: "map[str] | list[str]", trusted: Sequence[Network]) -> Address:
    nearest = peer
    for hop in reversed(list(hops)):
        address = _address(hop)
        if address is None:
            return nearest
        nearest = address
        if not _within(address, trusted):
            return nearest
    return nearest


def _for(element: str) -> str:
    found = _FORWARDED_FOR.search(element)
    return found.group(1).strip('"') if found else ""


def _address(text: str) -> Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 peers this way.
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
