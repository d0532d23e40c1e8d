"""The audit log: a project's, as its admins read it, a person's own, and for the operator the whole."""

from collections.abc import Sequence

from headgate.v1 import project_service_pb2 as wire
from sqlalchemy import Select, select

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow
from headgate_service.directory.project import MAX_COUNT
from headgate_service.errors import InvalidArgument
from headgate_service.log.reader import timestamp

MOST, USUAL = 1_000, 100


class AuditLog:
    """Reads the control DB."""

    def __init__(self, database: ControlDb) -> None:
        self._database = database

    async def of(self, project_id: str, limit: int, before: int) -> Sequence[wire.AuditEntry]:
        """What was done in a project, the latest first, with `before` what has lower ids.

        Every call raises InvalidArgument, ControlDbUnavailable.
        """
        return await self._list(select(AuditRow).where(AuditRow.project_id == project_id), limit, before)

    async def by(self, user_id: str, limit: int, before: int) -> Sequence[wire.AuditEntry]:
        """What a person did, anywhere."""
        return await self._list(select(AuditRow).where(AuditRow.user_id == user_id), limit, before)

    async def all(self, limit: int, before: int) -> Sequence[wire.AuditEntry]:
        """What anybody did."""
        return await self._list(select(AuditRow), limit, before)

    async def _list(self, wanted: Select[AuditRow], limit: int, before: int) -> Sequence[wire.AuditEntry]:
        if not 0 <= limit <= MOST:
            raise InvalidArgument("limit", f"must be 1 to {MOST}, or absent")
        if not 0 <= before <= MAX_COUNT:
            raise InvalidArgument("before", "must be the id of an entry, or absent")
        if before:
            wanted = wanted.where(AuditRow.id < before)
        async with self._database.read() as session:
            rows = await session.scalars(wanted.order_by(AuditRow.id.desc()).limit(limit or USUAL))
            return [
                wire.AuditEntry(
                    id=row.id,
                    time=timestamp(row.at),
                    actor=row.actor,
                    credential=row.credential,
                    action=row.action,
                    target=row.target,
                    address=row.address,
                )
                for row in rows
            ]
