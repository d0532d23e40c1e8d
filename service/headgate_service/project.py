"""What everything but the control DB itself knows of a project."""

from dataclasses import dataclass, field

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.control_db.models import ProjectRow
from headgate_service.policy.policy import Policy
from headgate_service.project_fields import UTC, RateLimit


class ProjectUnknown(Exception):
    """No project has that id or slug, or it was deleted."""


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
