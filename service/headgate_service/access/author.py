"""Who makes a change, for the audit log."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.access import audit
from headgate_service.access.origin import UNKNOWN_ORIGIN, CallOrigin
from headgate_service.access.principal import OPERATOR, Principal


@dataclass(frozen=True, slots=True)
class Author:
    """A caller and from where they call."""

    principal: Principal
    origin: CallOrigin = UNKNOWN_ORIGIN

    def record(self, session: AsyncSession, action: str, target: str, project_id: str | None = None) -> None:
        """Adds an entry to the transaction of the change, which the project's admins may read."""
        audit.record(session, self.principal, action, target, self.origin, project_id=project_id)


THE_OPERATOR = Author(OPERATOR)
