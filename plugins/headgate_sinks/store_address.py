"""Where the store is: the one that `headgate up` runs, or any server that speaks ClickHouse's HTTP protocol."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

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
            raise ValueError("is no URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http[s]://USER:PASSWORD@HOST:PORT/DATABASE, or unix:PATH")
        if parts.query or parts.fragment:
            raise ValueError("must have no query: settings are sent with each statement")
        database = unquote(parts.path.strip("/")) or DATABASE
        if not _NAME.fullmatch(database):
            raise ValueError("names a database that is no plain name")
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
