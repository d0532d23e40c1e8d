import pytest
from headgate_service.auth.audit import CallOrigin
from headgate_service.auth.trail import MAX_ENTRIES, MINUTE_MS, Trail
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow
from prometheus_client import CollectorRegistry
from sqlalchemy import select


@pytest.fixture
def now():
    return [10 * MINUTE_MS]


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def trail(control_db: ControlDb, now, registry):
    return Trail(control_db, lambda: now[0], registry)


async def entries(control_db: ControlDb) -> list[tuple[str, str, str]]:
    async with control_db.read() as session:
        rows = await session.scalars(select(AuditRow).order_by(AuditRow.id))
        return [(row.action, row.target, row.address) for row in rows]


async def test_refusals_that_are_alike_are_one_entry_a_minute_and_all_are_counted(trail, control_db, now, registry):
    for _ in range(5):
        await trail.failed("my password", CallOrigin("192.0.2.1"))
    await trail.failed("my password", CallOrigin("192.0.2.2"))
    await trail.limited("x@example.com", "pair", CallOrigin("192.0.2.1"))
    await trail.credential_refused("hgs_a", CallOrigin("192.0.2.1"))
    now[0] += MINUTE_MS
    await trail.failed("my password", CallOrigin("192.0.2.1"))
    assert await entries(control_db) == [
        ("session.refuse", "an unknown account", "192.0.2.1"),
        ("session.refuse", "an unknown account, after 4 that are not listed", "192.0.2.2"),
        ("session.lock", "an unknown account by pair", "192.0.2.1"),
        ("credential.refuse", "session", "192.0.2.1"),
        ("session.refuse", "an unknown account", "192.0.2.1"),
    ]
    assert registry.get_sample_value("headgate_sign_ins_total", {"outcome": "failed"}) == 7
    assert registry.get_sample_value("headgate_sign_ins_total", {"outcome": "pair"}) == 1
    assert registry.get_sample_value("headgate_refused_credentials_total", {"kind": "session"}) == 1
    assert registry.get_sample_value("headgate_audit_skipped_entries_total") == 4


async def test_an_attacker_does_not_fill_the_log(trail, control_db, now):
    for number in range(3 * MAX_ENTRIES):
        await trail.credential_refused(f"{number}", CallOrigin(f"198.51.100.{number}"))
    assert len(await entries(control_db)) == MAX_ENTRIES


@pytest.mark.parametrize(
    ("text", "kind"),
    [("hgc_1", "cli"), ("org_live_1", "organisation key"), ("a.b.c", "jwt"), ("my password", "other"), ("", "other")],
)
async def test_of_a_credential_its_kind_is_written(trail, control_db, text, kind):
    await trail.credential_refused(text, CallOrigin())
    assert [entry[1] for entry in await entries(control_db)] == [kind]
