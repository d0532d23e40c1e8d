"""Absolute URIs by RFC 3986."""

import re
from ipaddress import AddressValueError, IPv6Address

_UNRESERVED = r"A-Za-z0-9._~\-"
_SUB_DELIMITERS = r"!$&'()*+,;="


def _run(characters: str) -> str:
    """Any number of `characters` and percent-encoded bytes, matched without backtracking between the two."""
    return rf"[{characters}]*(?:%[0-9A-Fa-f]{{2}}[{characters}]*)*"


_NAME = _UNRESERVED + _SUB_DELIMITERS
_PATH = _NAME + ":@/"
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]*:"
    rf"(?://(?:{_run(_NAME + ':')}@)?(?:\[([^\]]*)\]|{_run(_NAME)})(?::[0-9]*)?(?:/{_run(_PATH)})?|(?!//){_run(_PATH)})"
    rf"(?:\?{_run(_PATH + '?')})?(?:\#{_run(_PATH + '?')})?"
)
_FUTURE_ADDRESS = re.compile(rf"[vV][0-9A-Fa-f]+\.[{_NAME}:]+")


def is_uri(text: str) -> bool:
    """Whether `text` is a URI: absolute, with its scheme; a fragment may follow."""
    match = _URI.fullmatch(text)
    return match is not None and (match[1] is None or _is_address(match[1]))


def _is_address(literal: str) -> bool:
    if _FUTURE_ADDRESS.fullmatch(literal):
        return True
    try:
        return IPv6Address(literal).scope_id is None
    except AddressValueError:
        return False
