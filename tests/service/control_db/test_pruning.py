"""Old rows go, and no others."""

from headgate_service.config import TenantLimits
from headgate_service.control_db import pruning
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow, HourRow
from headgate_service.control_db.pruning import HOUR_MS, Pruning
from headgate_service.model.key import KeyKind
from headgate_service.projects.keyring import Keyring
from headgate_service.projects.projects import Projects
from sqlalchemy import select, update

NOW = 1_000_000 * HOUR_MS
LIMITS = TenantLimits(ledger_keep_ms=10 * HOUR_MS, audit_keep_ms=20 * HOUR_MS)


def entry(at: int) -> AuditRow:
    texts = dict.fromkeys(("actor", "credential", "credential_id", "action", "target", "address", "request_id"), "x")
    return AuditRow(at=at, **texts)


async def test_old_rows_of_the_ledger_and_the_audit_log_are_deleted(control_db: ControlDb, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(pruning, "PAUSE_SECONDS", 0)
    hours = range(999_980, 1_000_000)
    async with control_db.write() as session:
        for hour in hours:
            session.add_all(HourRow(project_id="p", hour=hour, outcome=kind, events=1) for kind in ("accepted", "d"))
            session.add(entry(hour * HOUR_MS))
        session.add(entry(NOW - 20 * HOUR_MS - 1))
    assert await Pruning(control_db, LIMITS, lambda: NOW).turn() == 21
    async with control_db.read() as session:
        left = [(row.hour, row.outcome) for row in await session.scalars(select(HourRow))]
        audited = list(await session.scalars(select(AuditRow.at).order_by(AuditRow.at)))
    assert sorted(left) == [(hour, kind) for hour in hours if hour >= 999_990 for kind in ("accepted", "d")]
    assert audited == [hour * HOUR_MS for hour in hours]
    assert await Pruning(control_db, LIMITS, lambda: NOW).turn() == 0


async def test_what_is_known_of_revoked_keys_goes_with_the_audit_log(
    control_db: ControlDb, projects: Projects, keyring: Keyring
) -> None:
    await projects.create_project("p")
    ended, recent = [await keyring.create("p", KeyKind.TEST) for _ in range(2)]
    async with control_db.write() as session:
        for key, at in ((ended, NOW - 21 * HOUR_MS), (recent, NOW)):
            await session.execute(update(pruning.KeyRow).where(pruning.KeyRow.id == key.id).values(revoked_at=at))
        await session.execute(update(AuditRow).values(at=NOW))
    assert await Pruning(control_db, LIMITS, lambda: NOW).turn() == 1
    left = {key.id for key in await keyring.of("p")}
    assert ended.id not in left
    assert recent.id in left
