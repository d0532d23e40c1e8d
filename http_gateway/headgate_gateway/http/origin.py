"""What browsers on other origins may do: everything a client of the ingestion APIs does, from any origin.

A preflight bears no key, so it cannot know a project: it always allows. An origin that a project does not allow is
refused at the request itself. Errors bear these headers too: without them a page cannot read what went wrong.
"""

import re
from collections.abc import Mapping, Sequence

from headgate_dialects.formats.browser import NAME

from headgate_gateway.http.client_address import Network, is_trusted

_FORWARDED_PROTO = re.compile(r'(?:^|[;,])\s*proto\s*=\s*"?([a-z]+)', re.IGNORECASE)


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


ALLOWED_HEADERS = (
    "Content-Type",
    "Content-Encoding",
    "Accept",
    "X-public-key",
    "X-API-Key",
    "Idempotency-Key",
    "X-experiment-ids",
    "X-xaiku-test",
    "Headgate-Dry-Run",
)
EXPOSED_HEADERS = (
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Headgate-Receipt",
    "Headgate-Warnings",
    "X-Should-Retry",
)

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EXPOSE = ", ".join(EXPOSED_HEADERS)
_MAX_AGE_SECONDS = "7200"


def cors_headers(request: Mapping[str, str], credentials: bool = True) -> dict[str, str]:
    """Headers for any answer but a preflight's; `request` has lower-case names.

    `credentials`: the page may read the answer to a request that was sent with credentials.
    """
    origin = request.get("origin", "")
    if not origin or not (origin.isascii() and origin.isprintable()):
        return {"Vary": "Origin"}
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": _EXPOSE,
        "Vary": "Origin",
    }
    if not credentials:
        del headers["Access-Control-Allow-Credentials"]
    return headers


def preflight_headers(request: Mapping[str, str]) -> dict[str, str]:
    """Headers for the answer to an OPTIONS request: a preflight's where it is one."""
    headers = cors_headers(request)
    if "access-control-request-method" in request and "Access-Control-Allow-Origin" in headers:
        asked = request.get("access-control-request-headers")
        del headers["Access-Control-Expose-Headers"]
        headers["Access-Control-Allow-Methods"] = "GET, POST"
        headers["Access-Control-Allow-Headers"] = ", ".join(ALLOWED_HEADERS if asked is None else _allowed_of(asked))
        headers["Access-Control-Max-Age"] = _MAX_AGE_SECONDS
        headers["Vary"] = "Origin, Access-Control-Request-Headers"
    return headers


def _allowed_of(asked: str) -> list[str]:
    # Any origin is allowed and no preflight carries a key, so that a list would protect nothing.
    return [name for name in map(str.strip, asked.split(",")) if _HEADER_NAME.fullmatch(name)]
