"""Who asks, as a request shows it, and as the service is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from headgate_gateway.app_api.failure import Failure

SESSION_COOKIE = "better-auth.session_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """The text of a credential, empty where there is none, and whether a browser added it by itself, as a cookie."""

    credential: str
    by_cookie: bool

    def metadata(self) -> Metadata:
        """What the service is told."""
        # Metadata bears printable ASCII only; no credential has anything else.
        sound = self.credential.isascii() and self.credential.isprintable()
        return (("authorization", f"Bearer {self.credential}"),) if self.credential and sound else ()


def caller_of(headers: Mapping[str, str]) -> Caller:
    """The bearer, else the session's cookie."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return Caller(bearer.strip(), by_cookie=False)
    return Caller(session_cookie(headers.get("cookie", "")), by_cookie=True)


def session_cookie(header: str) -> str:
    """The session's cookie; empty where there is none."""
    try:
        found = SimpleCookie(header).get(SESSION_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def check_origin(caller: Caller, method: str, headers: Mapping[str, str]) -> None:
    """Refuses a change that another site's page had a browser ask for. Raises Failure."""
    if caller.by_cookie and caller.credential and method not in _SAFE_METHODS and not same_origin(headers):
        raise Failure(
            403,
            "cross_origin",
            "A change by cookie needs an Origin, or a Sec-Fetch-Site, of this site.",
        )


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that its page came from here. A proxy may end TLS, so the scheme is not compared."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN_SITES:
        return False
    if origin is None:
        return site is not None
    try:
        return bool(host := headers.get("host", "").lower()) and urlsplit(origin).netloc.lower() == host
    except ValueError:
        return False
