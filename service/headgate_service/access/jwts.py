"""Bearer JWTs: verified by the one algorithm and the keys of the issuer that they name, or not at all."""

import binascii
import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry, Token, decode
from joserfc.util import urlsafe_b64decode

from headgate_service.access.errors import CredentialInvalid
from headgate_service.access.issuer_keys import Fetch, IssuerKeys
from headgate_service.access.jwt_issuer import JwtIssuer
from headgate_service.access.principal import Principal

LEEWAY_SECONDS = 30
MAX_CHARACTERS = 8_192


class Jwts:
    """Verifies tokens. `now` gives seconds since 1970, `clock` seconds that never go back."""

    def __init__(
        self, issuers: Sequence[JwtIssuer], fetch: Fetch, *, now: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._issuers = {issuer.issuer: (issuer, IssuerKeys(issuer, fetch, clock)) for issuer in issuers}
        self._now = now

    async def principal(self, text: str) -> Principal:
        """Who the token speaks for. Raises CredentialInvalid, KeysUnavailable."""
        header, issuer_name = _unverified(text)
        # What is not verified yet only picks whose keys must have signed it.
        known = self._issuers.get(issuer_name)
        if known is None:
            raise CredentialInvalid("the token is of no issuer that is believed here")
        issuer, keys = known
        if header.get("alg") != issuer.algorithm:
            raise CredentialInvalid("the token is not signed by the algorithm of its issuer")
        kid = header.get("kid")
        key = await keys.find(kid if isinstance(kid, str) else None)
        try:
            registry = JWSRegistry(algorithms=[issuer.algorithm], strict_check_header=False)
            with warnings.catch_warnings():
                # Which algorithm it is was the operator's choice, once for all tokens.
                warnings.simplefilter("ignore", SecurityWarning)
                token = decode(text, key, registry=registry)
            self._check(issuer, token)
        except (JoseError, ValueError, TypeError) as error:
            raise CredentialInvalid(f"the token does not verify: {_reason(error)}") from None
        return issuer.principal(token.claims)

    def _check(self, issuer: JwtIssuer, token: Token) -> None:
        kind = token.header.get("typ", "")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in issuer.types:
            raise CredentialInvalid("the token is not of a type that its issuer's access tokens have")
        JWTClaimsRegistry(
            now=lambda: int(self._now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "values": [issuer.audience]},
            exp={"essential": True},
        ).validate(token.claims)


def _unverified(text: str) -> tuple[dict[str, Any], str]:
    """The header and the issuer that a token claims. Raises CredentialInvalid."""
    if len(text) > MAX_CHARACTERS or not text.isascii():
        raise CredentialInvalid("this is no JWT")
    try:
        header, payload = (json.loads(urlsafe_b64decode(part.encode())) for part in text.split(".")[:2])
        issuer = payload["iss"]
    except (ValueError, binascii.Error, RecursionError, KeyError, TypeError):
        raise CredentialInvalid("this is no JWT, or one without an issuer") from None
    if not isinstance(header, dict) or not isinstance(issuer, str):
        raise CredentialInvalid("this is no JWT, or one without an issuer")
    return header, issuer


def _reason(error: Exception) -> str:
    # Of the library's own words the kind of error only: a description may quote what the token says.
    return getattr(error, "error", type(error).__name__)
