"""Who asks, as a request shows it, and as the service is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate_gateway.app_api.failure import Failure
from headgate_gateway.same_origin import foreign_origin, same_origin
from headgate_gateway.session_cookie import session_of

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """The text of a credential, empty where there is none, and whether a browser added it by itself, as a cookie."""

    credential: str = field(repr=False)
    by_cookie: bool

    def metadata(self) -> Metadata:
        """What the service is told."""
        if not self.credential:
            return ()
        # Metadata bears printable ASCII only; no credential has anything else.
        sound = self.credential.isascii() and self.credential.isprintable()
        return (("authorization", f"Bearer {self.credential if sound else '?'}"),)


def caller_of(headers: Mapping[str, str]) -> Caller:
    """The bearer, else the session's cookie."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return Caller(bearer.strip(), by_cookie=False)
    return Caller(session_of(headers), by_cookie=True)


def check_origin(caller: Caller, headers: Mapping[str, str], *, changes: bool, takes_credential: bool) -> None:
    """Refuses a change that another site's page had a browser ask for. Raises Failure.

    A cookie goes along by itself, so that a change by it needs proof of its origin. What needs no credential, such as
    signing in, is refused to those pages only that are known to be another site's.
    """
    if not changes:
        return
    if takes_credential:
        refused = caller.by_cookie and bool(caller.credential) and not same_origin(headers)
    else:
        refused = foreign_origin(headers)
    if refused:
        raise Failure(
            403, "cross_origin", "A change by cookie needs an Origin, or a Sec-Fetch-Site, of this very origin."
        )
