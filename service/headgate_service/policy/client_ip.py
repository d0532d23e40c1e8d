"""What becomes of the address that a server-side client reports of its visitor."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

_FIRST_24 = 0xFFFFFF00
_FIRST_48 = (2**48 - 1) << 80


class IpRule(StrEnum):
    """Keep it, keep its network, or drop it."""

    KEEP = "keep"
    TRUNCATE = "truncate"
    DROP = "drop"


def ruled_ip(text: str, rule: IpRule) -> str:
    """The address as it may be stored. Truncated: the first address of its /24, or /48 for IPv6; what is no address
    cannot be truncated and is dropped."""
    if rule is IpRule.KEEP:
        return text
    if rule is IpRule.DROP:
        return ""
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return ""
    return _network(address)


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Address(int(address) & _FIRST_48))
        address = address.ipv4_mapped
    return str(IPv4Address(int(address) & _FIRST_24))
