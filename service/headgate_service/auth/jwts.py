"""Bearer JWTs: verified by the one algorithm and the keys of the issuer that they name, or not at all."""

import asyncio
import binascii
import json
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import structlog
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry, Token, decode
from joserfc.util import urlsafe_b64decode

from headgate_service.errors import CredentialInvalid, KeysUnavailable
from headgate_service.model.jwt_issuer import JwtIssuer, KeysInvalid
from headgate_service.model.principal import Principal

FRESH_SECONDS = 600.0
AGAIN_SECONDS = 30.0
# How long keys are believed that could not be fetched again.
TRUST_SECONDS = 24 * 3600.0
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024

# Gives what is at a URL. Raises OSError, TimeoutError, aiohttp.ClientError, ValueError.
Fetch = Callable[[str], Awaitable[bytes]]

_log = structlog.get_logger()


class IssuerKeys:
    """`clock` gives seconds and never goes back."""

    def __init__(self, issuer: JwtIssuer, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys = issuer.own_keys()
        self._fetched_at = 0.0
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None) -> Key:
        """The key of an id; without one the only key. Raises CredentialInvalid, KeysUnavailable."""
        if self._issuer.jwks_url:
            await self._refresh(kid)
        if self._keys is None:
            raise KeysUnavailable("the keys of the token's issuer cannot be had now: retry")
        # A key that was configured alone is the issuer's whatever it calls it.
        key = _found(self._keys, None if self._issuer.key else kid)
        if key is None:
            raise CredentialInvalid("no key of its issuer is the token's")
        return key

    async def _refresh(self, kid: str | None) -> None:
        known = self._keys is not None and _found(self._keys, kid) is not None
        if known and (self._clock() - self._fetched_at < FRESH_SECONDS or self._asking.locked()):
            return
        async with self._asking:
            now = self._clock()
            if self._asked_at is not None and now - self._asked_at < AGAIN_SECONDS:
                return
            self._asked_at = now
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    self._keys = self._issuer.keys_of(await self._fetch(self._issuer.jwks_url))
                self._fetched_at = now
            except (OSError, TimeoutError, aiohttp.ClientError, ValueError, KeysInvalid) as error:
                _log.warning("an issuer's keys cannot be fetched", issuer=self._issuer.issuer, error=str(error))
                if now - self._fetched_at > TRUST_SECONDS:
                    self._keys = None


async def fetch(url: str) -> bytes:
    """What is at a URL, at most MAX_BYTES; redirects are not followed."""
    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"answered with {answer.status}")
        read = await answer.content.read(MAX_BYTES + 1)
        while len(read) <= MAX_BYTES and (more := await answer.content.read(MAX_BYTES)):
            read += more
        if len(read) > MAX_BYTES:
            raise ValueError(f"answered with more than {MAX_BYTES} bytes")
        return read


def _found(keys: KeySet, kid: str | None) -> Key | None:
    try:
        return keys.get_by_kid(kid)
    except JoseError:
        return None


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
        raise CredentialInvalid("not a JWT")
    try:
        header, payload = (json.loads(urlsafe_b64decode(part.encode())) for part in text.split(".")[:2])
        issuer = payload["iss"]
    except (ValueError, binascii.Error, RecursionError, KeyError, TypeError):
        raise CredentialInvalid("not a JWT, or a JWT without an issuer") from None
    if not isinstance(header, dict) or not isinstance(issuer, str):
        raise CredentialInvalid("not a JWT, or a JWT without an issuer")
    return header, issuer


def _reason(error: Exception) -> str:
    # Of the library's own words the kind of error only: a description may quote what the token says.
    return getattr(error, "error", type(error).__name__)
