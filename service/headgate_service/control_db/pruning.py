"""Deletes rows that are too old: of the ledger and the audit log, of revoked keys and of invitations."""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import ColumnElement, delete, inspect, select, tuple_

from headgate_service.config import TenantLimits
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow, HourRow, InvitationRow, KeyRow, Model
from headgate_service.errors import ControlDbUnavailable

ROWS_AT_ONCE = 2_000
TURN_SECONDS = 3600.0
# Between two deletions, in which others may write.
PAUSE_SECONDS = 0.2
HOUR_MS = 3600 * 1000

_log = structlog.get_logger()


class Pruning:
    """Works through the tables every hour. `now_ms` is milliseconds since 1970."""

    def __init__(self, database: ControlDb, limits: TenantLimits, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._limits = limits
        self._now_ms = now_ms

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.turn()
            except ControlDbUnavailable as error:
                _log.warning("old rows of the control DB could not be deleted", error=str(error))
            await asyncio.sleep(TURN_SECONDS)

    async def turn(self) -> int:
        """Deletes what is too old now; how many rows it was. Raises ControlDbUnavailable."""
        now = self._now_ms()
        audited = now - self._limits.audit_keep_ms
        deleted = await self._delete(HourRow, HourRow.hour < (now - self._limits.ledger_keep_ms) // HOUR_MS)
        deleted += await self._delete(AuditRow, AuditRow.at < audited)
        deleted += await self._delete(InvitationRow, InvitationRow.expires_at < now)
        # As long as the audit log tells of them.
        return deleted + await self._delete(KeyRow, KeyRow.revoked_at < audited)

    async def _delete(self, model: type[Model], old: ColumnElement[bool]) -> int:
        key = inspect(model).primary_key
        some = delete(model).where(tuple_(*key).in_(select(*key).where(old).limit(ROWS_AT_ONCE))).returning(key[0])
        deleted = 0
        while True:
            async with self._database.write() as session:
                rows = len((await session.scalars(some)).all())
            deleted += rows
            if rows < ROWS_AT_ONCE:
                return deleted
            await asyncio.sleep(PAUSE_SECONDS)
