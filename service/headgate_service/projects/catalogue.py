"""Projects as their people see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import MemberRow, OrganisationRow, ProjectRow
from headgate_service.directory.project import Project
from headgate_service.errors import ProjectUnknown
from headgate_service.model.principal import Principal, PrincipalKind, Role


@dataclass(frozen=True, slots=True)
class Listed:
    """A project, its organisation's slug, when it was made (milliseconds since 1970), and the role of who asks."""

    project: Project
    organisation: str
    created_at: int
    role: Role | None


class Catalogue:
    """Reads the control DB; every call may raise ControlDbUnavailable."""

    def __init__(self, database: ControlDb) -> None:
        self._database = database

    async def of(self, principal: Principal) -> Sequence[Listed]:
        """The projects that a person is a member of, by slug; of the operator, all."""
        async with self._database.read() as session:
            rows = await session.execute(_listed(principal).order_by(ProjectRow.slug))
            listed = map(_of, rows)
            return [one for one in listed if principal.kind is PrincipalKind.OPERATOR or one.role is not None]

    async def get(self, project_id: str, principal: Principal) -> Listed:
        """One that the caller may see. Raises ProjectUnknown."""
        async with self._database.read() as session:
            row = (await session.execute(_listed(principal).where(ProjectRow.id == project_id))).first()
            if row is None:
                raise ProjectUnknown(f"no project {project_id}: give its slug or id")
            return _of(row)

    async def owns(self, principal: Principal, project_id: str) -> bool:
        """Whether the caller owns a project."""
        return principal.kind is PrincipalKind.OPERATOR or (await self.get(project_id, principal)).role is Role.OWNER

    async def owns_organisation(self, principal: Principal, organisation_id: str) -> bool:
        """Whether the caller owns every project of an organisation."""
        if principal.kind is PrincipalKind.OPERATOR:
            return True
        if principal.user_id is None:
            return False
        async with self._database.read() as session:
            rows = await session.execute(_listed(principal).where(ProjectRow.organisation_id == organisation_id))
            return all(_of(row).role is Role.OWNER for row in rows)


def _listed(principal: Principal) -> Select[ProjectRow, str, str]:
    own = (MemberRow.project_id == ProjectRow.id) & (MemberRow.user_id == (principal.user_id or ""))
    return (
        select(ProjectRow, OrganisationRow.slug, MemberRow.role)
        .join(OrganisationRow, OrganisationRow.id == ProjectRow.organisation_id)
        .outerjoin(MemberRow, own)
        .where(ProjectRow.deleted_at.is_(None), OrganisationRow.deleted_at.is_(None))
    )


def _of(row: Any) -> Listed:
    project, organisation, role = row
    return Listed(Project.of(project), organisation, project.created_at, Role(role) if role else None)
