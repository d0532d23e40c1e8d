"""What browsers on other origins may do: everything a client of the ingestion APIs does, from any origin.

A preflight bears no key, so it cannot know a project: it always allows. An origin that a project does not allow is
refused at the request itself. Errors bear these headers too: without them a page cannot read what went wrong.
"""

from collections.abc import Mapping

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
EXPOSED_HEADERS = ("Retry-After", "RateLimit", "RateLimit-Policy", "Headgate-Receipt")

_ALLOWED = frozenset(name.lower() for name in ALLOWED_HEADERS)
_EXPOSE = ", ".join(EXPOSED_HEADERS)
_MAX_AGE_SECONDS = "7200"


def cors_headers(request: Mapping[str, str]) -> dict[str, str]:
    """Headers for any answer but a preflight's; `request` has lower-case names."""
    origin = request.get("origin", "")
    if not origin or not (origin.isascii() and origin.isprintable()):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": _EXPOSE,
        "Vary": "Origin",
    }


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
    return [name for name in map(str.strip, asked.split(",")) if name.lower() in _ALLOWED]
