"""The HTTP endpoint behind a sink: what all sinks that post batches have in common."""

import asyncio
import contextlib
import errno
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from pydantic import Field
from yarl import URL

from headgate_sinks.sdk.sink import Config, Misconfigured, Outcome, Reject, Result, Retry, TooLarge
from headgate_sinks.transport.address_guard import AddressGuard, AddressRefused, GuardedResolver

MAX_WAIT_SECONDS = 3600.0
MAX_WORDS_BYTES = 300
# Shorter values would take common words out of an answer.
MIN_SECRET_CHARACTERS = 6
_OPEN_HEADERS = frozenset(("content-type", "content-encoding", "user-agent", "accept"))
# A write has to end by itself before the engine gives it up.
WRITE_SECONDS = 310.0
_CHECK_SECONDS = 10.0


class HttpConfig(Config):
    """What every sink that posts to a URL lets its operator choose."""

    timeout: float = Field(30.0, gt=0, le=300, description="Seconds that one request may take as a whole.")
    allow_private: bool | None = Field(
        None,
        description="Whether the target may be in a private network (loopback, RFC 1918, CGNAT, unique local). Absent:"
        " only where the URL itself says `localhost` or a private address; a name that leads to one is refused.",
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, its Retry-After header, and its body, cut where it was longer than was asked for."""

    status: int
    retry_after: str | None
    body: bytes


class HttpTarget:
    """Posts to one URL, over connections that stay open, to addresses that were checked, and follows no redirect.

    `body_bytes`: how much of an answer's body is read. `secret`, and what headers hold, are taken out of it, should the
    target repeat them.
    """

    def __init__(
        self,
        url: str,
        config: HttpConfig,
        body_bytes: int = 64 * 1024,
        secret: str = "",
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._url = URL(url)
        self._body_bytes = body_bytes
        self._secret = secret.encode()
        self._place = f"{self._url.host}:{self._url.port}"
        self._guard = AddressGuard(self._url.host or "", config.allow_private)
        self._resolver = GuardedResolver(self._guard, resolver)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=config.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(resolver=self._resolver, socket_factory=self._guard.socket),
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises Retry where no answer came, and Misconfigured where the target's address is refused."""
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                start = await _start_of_body(response, self._body_bytes)
                for secret in (self._secret, *_secrets_in(headers)):
                    if secret:
                        start = start.replace(secret, b"...")
                return Answer(response.status, response.headers.get("Retry-After"), start)
        except AddressRefused as error:
            raise Misconfigured(str(error)) from None
        except aiohttp.InvalidURL:
            raise Misconfigured("the target's URL names no host that can be connected to: correct it") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The message of such an error may name the URL's query, which may be a secret.
            raise Retry(f"no answer from {self._place}: {_reason(error)}") from None

    async def check(self) -> None:
        """Finds out whether the target takes connections, without sending anything.

        Raises Retry where it does not, and Misconfigured where its address is refused.
        """
        host, port = self._url.host or "", self._url.port or 443
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                # Addresses resolve to themselves.
                found = await self._resolver.resolve(host, port)
                _, writer = await asyncio.open_connection(found[0]["host"], port)
        except AddressRefused as error:
            raise Misconfigured(str(error)) from None
        except (TimeoutError, OSError) as error:
            raise Retry(f"{host} takes no connection at port {port}: {_reason(error)}") from None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def close(self) -> None:
        await self._session.close()


def checked_url(url: str) -> str:
    """An absolute http or https URL without credentials. Raises ValueError."""
    try:
        parts = URL(url)
    except ValueError:
        raise ValueError("must be an absolute http or https URL") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("must be an absolute http or https URL")
    if parts.user is not None or parts.password is not None:
        raise ValueError("must hold no credentials")
    return url


def outcome(answer: Answer, now: float, events: int, settings: str = "`url`") -> Outcome:
    """What an HTTP status says of a batch of so many events. `now` is in seconds since 1970; `settings` are those that
    a person would look at where the target refuses everything."""
    status, said = answer.status, f"the target answered {answer.status}{_words(answer)}"
    if 200 <= status < 300:
        return Result()
    if status == 413:
        return TooLarge(f"the target answered 413, the batch is too large for it{_words(answer)}")
    if status in (400, 422):
        return Result((Reject(tuple(range(events)), f"http_{status}", said),))
    if status in (408, 425, 429) or status >= 500:
        return Retry(said, after=wait_seconds(answer.retry_after, now))
    if 300 <= status < 400:
        return Misconfigured(f"the target answered {status}, a redirect, and none is followed: correct {settings}")
    return Misconfigured(f"{said}: correct {settings}, or the target")


def _words(answer: Answer) -> str:
    """What the target said, on one line, after a colon; empty where it said nothing."""
    text = answer.body[:MAX_WORDS_BYTES].decode(errors="replace")
    words = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return f": {words}" if words else ""


def _reason(error: Exception) -> str:
    """Why there is no connection: the system's word for it where there is one."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    if number is not None and number in errno.errorcode:
        return f"{os.strerror(number)} ({errno.errorcode[number]})"
    return type(error).__name__


def _secrets_in(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The values of headers, and what is in credentials, the longest first."""
    for name, value in headers.items():
        if len(value) < MIN_SECRET_CHARACTERS or name.lower() in _OPEN_HEADERS:
            continue
        yield value.encode()
        scheme, _, credentials = value.partition(" ")
        if credentials:
            yield credentials.encode()
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, password = b64decode(credentials).partition(b":")
                yield from (part for part in (password, user) if len(part) >= MIN_SECRET_CHARACTERS)


def wait_seconds(retry_after: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, from 0 to an hour; None where there is none that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # So many digits are beyond the longest wait in any case.
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)


async def _start_of_body(response: aiohttp.ClientResponse, length: int) -> bytes:
    """Reads a short body, so that the connection can be used again, and hangs up on a long or broken one: the status
    has said what became of the batch."""
    parts = bytearray()
    try:
        async for part in response.content.iter_any():
            parts += part
            if len(parts) > length:
                break
        else:
            return bytes(parts)
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    response.close()
    return bytes(parts[:length])
