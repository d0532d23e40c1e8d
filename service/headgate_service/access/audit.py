"""The audit log: who did what to what, when, by what and from where."""

import time

from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.access.origin import UNKNOWN_ORIGIN, CallOrigin
from headgate_service.access.principal import Principal
from headgate_service.control_db.models import AuditRow

_LONGEST_TARGET = 320


def record(
    session: AsyncSession,
    principal: Principal,
    action: str,
    target: str,
    origin: CallOrigin = UNKNOWN_ORIGIN,
    *,
    project_id: str | None = None,
    now_ms: int | None = None,
) -> None:
    """Adds an entry to the transaction of the change it tells of, such as ("key.create", "key_...").

    `project_id` is of the project whose members may read it; None: the operator only.
    """
    session.add(
        AuditRow(
            at=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
            project_id=project_id,
            actor=principal.label[:_LONGEST_TARGET],
            user_id=principal.user_id,
            credential=principal.kind.value,
            credential_id=principal.credential_id[:_LONGEST_TARGET],
            action=action,
            target=target[:_LONGEST_TARGET],
            address=origin.address,
            request_id=origin.request_id,
        )
    )
