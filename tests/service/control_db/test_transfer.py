import pytest
from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import AuditRow, ChangeCounter, EpochRow, Model
from headgate_service.control_db.transfer import TargetInUse, copy_all
from headgate_service.directory.snapshot import NOTHING, ControlChanges
from sqlalchemy import select

TO_POSTGRESQL = pytest.mark.parametrize("control_url", ["sqlite"], indirect=True)


def audit(number: int) -> AuditRow:
    texts = ("actor", "credential", "credential_id", "action", "target", "address", "request_id")
    return AuditRow(at=number, **dict.fromkeys(texts, str(number)))


async def rows(database: ControlDb) -> dict[str, list[tuple]]:
    async with database.read() as session:
        return {
            table.name: sorted(map(repr, (await session.execute(select(table))).all()))
            for table in Model.metadata.sorted_tables
        }


@TO_POSTGRESQL
async def test_everything_moves_and_goes_on(control_db, projects, keyring, new_database):
    for name in ("one", "two"):
        await projects.create_project(name, monthly_limit=5)
    async with control_db.write() as session:
        session.add_all([EpochRow(shard=3, name="e", lost_at=None), *map(audit, range(3))])
    target = ControlDb(new_database())
    copied = await copy_all(control_db, target)
    assert (copied["projects"], copied["keys"], copied["audit"], copied["changes"]) == (2, 6, 5, 1)
    assert await rows(target) == await rows(control_db)

    async with target.change() as (session, change):
        session.add(audit(9))
    async with control_db.read() as session:
        assert change == await session.scalar(select(ChangeCounter.value)) + 1
    async with target.read() as session:
        assert len((await session.scalars(select(AuditRow))).all()) == 6
    with pytest.raises(TargetInUse, match="give an empty database"):
        await copy_all(control_db, target)
    assert len((await ControlChanges(target).load(NOTHING)).keys) == 6
    await target.close()
