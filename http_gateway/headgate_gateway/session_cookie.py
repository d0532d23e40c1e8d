"""The cookie that bears a person's session."""

import re
from collections.abc import Mapping, Sequence

from headgate_gateway.client_address import Network, is_trusted

NAME = "better-auth.session_token"

_FORWARDED_PROTO = re.compile(r'(?:^|[;,])\s*proto\s*=\s*"?([a-z]+)', re.IGNORECASE)


def session_of(headers: Mapping[str, str]) -> str:
    """What the cookie holds; empty where there is none."""
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == NAME and (value := value.strip('"')):
            return value
    return ""


def person_of(headers: Mapping[str, str]) -> str:
    """The bearer token, else the session's cookie, each marked as what it is, so that neither is taken for a key."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return f"bearer:{token}"
    text = session_of(headers) if "cookie" in headers else ""
    return f"session:{text}" if text else ""


def set_cookie(text: str, seconds: int, *, secure: bool) -> str:
    """The header that sets it; with no text, that removes it."""
    lasting = f"Max-Age={seconds if text else 0}"
    return f"{NAME}={text}; Path=/; {lasting}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")


def over_tls(scheme: str, peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> bool:
    """Whether the client speaks TLS: to the gateway, or to a trusted proxy that says so."""
    if scheme == "https":
        return True
    if not is_trusted(peer, trusted):
        return False
    said = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    structured = _FORWARDED_PROTO.findall(headers.get("forwarded", ""))
    return said == "https" or bool(structured and structured[-1].lower() == "https")
