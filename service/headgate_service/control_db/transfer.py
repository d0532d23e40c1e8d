"""Moves all that a control DB holds into another, empty one."""

from sqlalchemy import Integer, Table, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import ChangeCounter, Model
from headgate_service.control_db.schema import migrate
from headgate_service.errors import ControlDbUnavailable

_ROWS_AT_ONCE = 500


class TargetInUse(Exception):
    """The database that was to be filled holds something already."""


async def copy_all(source: ControlDb, target: ControlDb) -> dict[str, int]:
    """Copies every table, all or none, and says how many rows of each. Nothing may write to either meanwhile.

    Both are brought to the newest schema first. Raises TargetInUse, ControlDbUnavailable.
    """
    await migrate(source)
    await migrate(target)
    try:
        async with source.exclusive() as giving, target.exclusive() as taking:
            await _require_empty(taking)
            return {table.name: await _copy(table, giving, taking) for table in Model.metadata.sorted_tables}
    except SQLAlchemyError as error:
        raise ControlDbUnavailable(f"the control DB could not be copied: {error}") from error


async def _require_empty(taking: AsyncConnection) -> None:
    for table in Model.metadata.sorted_tables:
        if table.name == ChangeCounter.__tablename__:
            # Its one row comes with the schema, and the source's takes its place.
            await taking.execute(table.delete())
        elif await taking.scalar(select(func.count()).select_from(table)):
            raise TargetInUse(f"there are rows in its table {table.name} already: give an empty database")


async def _copy(table: Table, giving: AsyncConnection, taking: AsyncConnection) -> int:
    rows = 0
    found = await giving.execute(select(table))
    while part := found.mappings().fetchmany(_ROWS_AT_ONCE):
        await taking.execute(insert(table), [dict(row) for row in part])
        rows += len(part)
    numbered = table.autoincrement_column
    if rows and numbered is not None and isinstance(numbered.type, Integer) and taking.dialect.name == "postgresql":
        # What is numbered from here on goes on behind what was copied.
        sequence = "SELECT setval(pg_get_serial_sequence(:table, :column), (SELECT max(value) FROM numbered))"
        numbers = f'WITH numbered AS (SELECT "{numbered.name}" AS value FROM "{table.name}") '  # noqa: S608 - ours
        await taking.execute(text(numbers + sequence), {"table": table.name, "column": numbered.name})
    return rows
