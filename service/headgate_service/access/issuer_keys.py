"""An issuer's keys, fetched where they are published, seldom enough that no token can make it often."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from headgate_service.access.errors import CredentialInvalid, KeysUnavailable
from headgate_service.access.jwt_issuer import JwtIssuer, KeysInvalid

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
