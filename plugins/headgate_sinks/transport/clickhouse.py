"""What ClickHouse answers over HTTP, and what that says of a batch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from headgate_sinks.sdk.sink import Misconfigured, Outcome, Reject, Result, Retry, TooLarge
from headgate_sinks.transport.http import wait_seconds

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.translate(_ESCAPES) + "'"


if TYPE_CHECKING:
    import aiohttp

DATABASE = "headgate"
_SCHEME = "unix:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """`socket` is the path of a Unix socket, None where `url` is reached over a network. `url` has neither user nor
    database."""

    url: str
    database: str = DATABASE
    user: str = "default"
    password: str = field(default="", repr=False)
    socket: str | None = None

    @classmethod
    def parse(cls, text: str) -> "StoreAddress":
        """Reads `http[s]://USER:PASSWORD@HOST:PORT/DATABASE` or `unix:PATH`. Raises ValueError, without it."""
        if text.startswith(_SCHEME):
            return cls("http://store", socket=text.removeprefix(_SCHEME))
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("is not a URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http[s]://USER:PASSWORD@HOST:PORT/DATABASE, or unix:PATH")
        if parts.query or parts.fragment:
            raise ValueError("must have no query: settings are sent with each statement")
        database = unquote(parts.path.strip("/")) or DATABASE
        if not _NAME.fullmatch(database):
            raise ValueError("names a database that is not a plain name")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        place = host if port is None else f"{host}:{port}"
        user, password = unquote(parts.username or "default"), unquote(parts.password or "")
        if any(character in user + password for character in "\r\n\0"):
            raise ValueError("has a user or password of more than one line")
        return cls(urlunsplit((parts.scheme, place, "", "", "")), database, user, password)

    @property
    def shown(self) -> str:
        """For messages: without its password."""
        return f"{_SCHEME}{self.socket}" if self.socket else f"{self.url}/{self.database}"

    def session(self, seconds: float) -> "aiohttp.ClientSession":
        """For requests to `url` that may take so long as a whole. Call it in an event loop."""
        # Not for those that only read an address.
        import aiohttp

        return aiohttp.ClientSession(
            headers={"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password},
            connector=aiohttp.UnixConnector(self.socket) if self.socket else None,
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        )


_MAX_MESSAGE = 300
# An exception may come after the status was sent; then it is in the body.
_EXCEPTION = re.compile(r"^Code: (\d+)\. DB::Exception", re.MULTILINE)
_SYMBOL = re.compile(r"\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\)+)?\s*$")

# ClickHouse's own numbers of its errors, from its ErrorCodes.cpp.
_SAYS_EVENT_IS_UNFIT = frozenset((
    6, 25, 26, 27, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 407, 441, 467, 469, 691,
))  # fmt: skip
_SAYS_MISCONFIGURED = frozenset((
    16, 20, 36, 44, 46, 47, 48, 60, 62, 80, 81, 115, 164, 192, 193, 194, 195, 291, 452, 497, 516,
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, the number of ClickHouse's error or None, its Retry-After header, its text."""

    status: int
    code: int | None
    retry_after: str | None
    text: str


def read_answer(status: int, headers: Mapping[str, str], text: str) -> Answer:
    """The error's number is in a header; where the error came after the headers, in the text."""
    given = headers.get("X-ClickHouse-Exception-Code", "")
    found = _EXCEPTION.search(text)
    code = int(given) if given.isascii() and given.isdigit() else int(found[1]) if found else None
    return Answer(status, code, headers.get("Retry-After"), text)


def outcome(answer: Answer, events: int, now: float) -> Outcome:
    """What an answer says of a batch of so many events. `now` is in seconds since 1970."""
    status, code = answer.status, answer.code
    symbol = _SYMBOL.search(answer.text)
    # The whole text may quote events, which belong into dead letters only.
    said = (
        f"ClickHouse answered {status}"
        if code is None
        else f"ClickHouse says {code}{f' {symbol[1]}' if symbol else ''}"
    )
    if code is None:
        if 200 <= status < 300:
            return Result()
        if status == 413:
            return TooLarge(said)
        if status in (408, 425, 429) or status >= 500:
            return Retry(said, after=wait_seconds(answer.retry_after, now))
        return Misconfigured(f"{said}: correct `url`, `user` or `password`, or what is between here and there")
    if code in _SAYS_EVENT_IS_UNFIT:
        if events == 1:
            return Result((Reject((0,), f"clickhouse_{code}", answer.text.strip()[:_MAX_MESSAGE]),))
        # It takes all of an insert or nothing: in halves, the event that it is will be alone in the end.
        return TooLarge(f"{said} of an event in the batch")
    if code in _SAYS_MISCONFIGURED:
        return Misconfigured(f"{said}: {answer.text.strip()[:_MAX_MESSAGE]}")
    return Retry(said, after=wait_seconds(answer.retry_after, now))
