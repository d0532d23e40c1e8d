"""Patterns of origins: `shop.example`, `*.shop.example`, `localhost:3000` or `https://shop.example`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|\*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """Matches the origins of a host, whatever their scheme and port where it names none.

    `*.shop.example` matches every host below shop.example, not shop.example itself; `*` every host; `null` the origin
    that browsers send for files and sandboxed frames.
    """

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "OriginPattern":
        """Raises ValueError with what is wrong, for a person to read."""
        scheme, mark, rest = text.strip().lower().rpartition("://")
        if scheme not in ("", "http", "https") or (mark and not scheme):
            raise ValueError("begins with a scheme that is neither http:// nor https://")
        host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
        if not colon:
            host = rest
        if _HOST.fullmatch(host) is None:
            raise ValueError("is no origin or host: write shop.example, *.shop.example or https://shop.example")
        if colon and not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
            raise ValueError("has a port that is not 1 to 65535")
        return cls(scheme, host, int(port) if colon else _DEFAULT_PORTS.get(scheme))

    def matches(self, origin: str) -> bool:
        """Whether the value of an Origin header is one of them; what is no origin never is."""
        if origin == "null":
            return self.host == "null" and not self.scheme
        try:
            parts = urlsplit(origin)
            host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return False
        host = f"[{host}]" if ":" in host else host
        if not host or (self.scheme and parts.scheme != self.scheme) or (self.port and port != self.port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return self.host in ("*", host)
