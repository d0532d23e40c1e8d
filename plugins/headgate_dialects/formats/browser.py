"""What a browser adds to a request by itself: the origin of its page, and the cookie of who is signed in."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether headers show that a page of this origin sent it. Where no header shows anything, the answer is no."""
    return ("origin" in headers or "sec-fetch-site" in headers) and not foreign_origin(headers)


def foreign_origin(headers: Mapping[str, str]) -> bool:
    """Whether a header shows that a page of another origin sent it. A proxy in front must pass `Host` on as it came."""
    site = headers.get("sec-fetch-site", "same-origin")
    if site != "same-origin":
        return True
    return "origin" in headers and not _of_host(headers["origin"], headers.get("host", ""))


def _of_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(parts.scheme)
    # The scheme is not compared: behind a proxy that ends TLS the gateway does not see the one of the page.
    return (
        default is not None
        and bool(parts.netloc)
        and parts.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)
    )


NAME = "better-auth.session_token"


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
