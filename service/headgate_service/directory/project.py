"""What everything but the control DB itself knows of a project."""

import re
import unicodedata
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.control_db.models import ProjectRow
from headgate_service.errors import InvalidArgument, ProjectUnknown
from headgate_service.model.key import DEFAULT_SCOPES, SCOPES, KeyKind
from headgate_service.model.rate_limit import RateLimit
from headgate_service.policy.policy import Policy
from headgate_service.redis.keys import SHARDS

MAX_NAME_CHARACTERS = 100
MAX_SLUG_CHARACTERS = 63
# What every number on the way, Lua's doubles too, holds exactly.
MAX_COUNT = 2**53 - 1
MAX_WINDOW_SECONDS = 24 * 3600
UTC = "UTC"

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


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


@dataclass(frozen=True, slots=True)
class Project:
    """What the event path knows of a project. A limit of None is none, a rate limit of None the operator's default.

    `policy` is that of the version `deploy_version` (0: none is active), where it is known.
    """

    id: str
    slug: str
    name: str
    organisation_id: str
    shard: int
    monthly_limit: int | None
    rate_limit: RateLimit | None
    time_zone: str = UTC
    deploy_version: int = 0
    policy: Policy | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, row: ProjectRow) -> "Project":
        rate = None
        if row.rate_requests is not None and row.rate_window_ms is not None:
            rate = RateLimit(row.rate_requests, row.rate_window_ms)
        return cls(
            row.id,
            row.slug,
            row.name,
            row.organisation_id,
            row.shard,
            row.monthly_limit,
            rate,
            row.time_zone,
            row.deploy_version,
        )


async def living_project(session: AsyncSession, id_or_slug: str) -> ProjectRow:
    """The row of a project that was not deleted. Raises ProjectUnknown."""
    row = await session.scalar(
        select(ProjectRow).where(
            or_(ProjectRow.id == id_or_slug, ProjectRow.slug == id_or_slug), ProjectRow.deleted_at.is_(None)
        )
    )
    if row is None:
        raise ProjectUnknown(f"no project {id_or_slug}: give its slug or id")
    return row
