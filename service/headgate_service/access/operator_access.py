"""Access over the admin socket, whose mode is the only credential."""

from typing import Any

from headgate_service.access.principal import OPERATOR, Principal
from headgate_service.access.role import Role
from headgate_service.project import Project
from headgate_service.projects import Projects


class OperatorAccess:
    """Whoever gets there is the operator, who may do everything."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def principal(self, metadata: Any, *, used: bool = True) -> Principal:
        return OPERATOR

    async def project(self, principal: Principal, id_or_slug: str, least: Role, scope: str = "") -> Project:
        """Raises ProjectUnknown, ControlDbUnavailable."""
        return await self._projects.get(id_or_slug)
