"""What a project's and a key's fields may hold."""

import re
import unicodedata
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from headgate_service.key_kind import KeyKind
from headgate_service.log.names import SHARDS
from headgate_service.scopes import DEFAULT_SCOPES, SCOPES

MAX_NAME_CHARACTERS = 100
MAX_SLUG_CHARACTERS = 63
# What every number on the way, Lua's doubles too, holds exactly.
MAX_COUNT = 2**53 - 1
MAX_WINDOW_SECONDS = 24 * 3600
UTC = "UTC"

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class InvalidArgument(Exception):
    """A field that holds what it may not; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests of a key in a window of so many milliseconds (whole seconds)."""

    requests: int
    window_ms: int


def valid_name(name: str) -> str:
    """A project's name: 1 to 100 characters without the space around them, none of them a control character."""
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= MAX_NAME_CHARACTERS:
        raise InvalidArgument("name", f"must have 1 to {MAX_NAME_CHARACTERS} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in trimmed):
        raise InvalidArgument("name", "must not have control characters")
    return trimmed


def valid_slug(slug: str) -> str:
    """A slug: 1 to 63 of a-z, 0-9 and inner hyphens."""
    if _SLUG.fullmatch(slug) is None:
        raise InvalidArgument("slug", f"must be 1 to {MAX_SLUG_CHARACTERS} of a-z, 0-9 and inner hyphens")
    return slug


def slug_of(name: str) -> str:
    """The slug that a name suggests: its letters and digits in ASCII, hyphens between; may be empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG_CHARACTERS].rstrip("-")


def valid_monthly_limit(limit: int | None) -> int | None:
    """Events a month, at least 1; None for no limit."""
    if limit is not None and not 1 <= limit <= MAX_COUNT:
        raise InvalidArgument("monthly_limit", f"must be 1 to {MAX_COUNT}, or absent for no limit")
    return limit


def valid_rate_limit(limit: RateLimit | None) -> RateLimit | None:
    """At least 1 request in a window of 1 second to 1 day; None for the operator's default."""
    if limit is None:
        return None
    if not 1 <= limit.requests <= MAX_COUNT:
        raise InvalidArgument("rate_limit.requests", f"must be 1 to {MAX_COUNT}")
    if limit.window_ms % 1000 or not 1 <= limit.window_ms // 1000 <= MAX_WINDOW_SECONDS:
        raise InvalidArgument("rate_limit.window", f"must be 1 to {MAX_WINDOW_SECONDS} whole seconds")
    return limit


def valid_time_zone(name: str) -> str:
    """A name of the IANA time zone database, spelled as there."""
    if name not in _time_zones():
        raise InvalidArgument("time_zone", "must be a name of the IANA time zone database, such as Europe/Berlin")
    return name


@cache
def _time_zones() -> frozenset[str]:
    # Of a machine's own files, those that no other machine knows.
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def valid_scopes(kind: KeyKind, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes of a key, sorted. An organisation key for which none is asked may write events; others take none."""
    asked = sorted(set(scopes))
    if kind is not KeyKind.ORGANISATION:
        if asked:
            raise InvalidArgument("scopes", f"only organisation keys take scopes, not {kind} keys")
        return ()
    unknown = [scope for scope in asked if scope not in SCOPES]
    if unknown:
        raise InvalidArgument("scopes", f"no such scope: {', '.join(unknown)}; there are: {', '.join(SCOPES)}")
    return tuple(asked) or DEFAULT_SCOPES


def emptiest_shard(projects_by_shard: Mapping[int, int]) -> int:
    """The shard with the fewest projects, so that a handful of projects share none."""
    return min(range(SHARDS), key=lambda shard: projects_by_shard.get(shard, 0))
