"""Whether a browser's request comes from a page of this very origin (CSRF)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the headers show that it does. What shows nothing, as a request of no browser's, does not."""
    return ("origin" in headers or "sec-fetch-site" in headers) and not foreign_origin(headers)


def foreign_origin(headers: Mapping[str, str]) -> bool:
    """Whether a header shows that it comes from elsewhere. A proxy in front must pass `Host` on as it came."""
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
