"""Counters and epochs as the control DB has them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from headgate_service.control_db.database import ControlDb
from headgate_service.control_db.models import CountersRow, EpochRow, HourRow, Model, MonthRow, ProjectRow
from headgate_service.log.position import Position, oldest

HOUR_MS = 3_600_000
# An hour is over when so many whole ones have followed it: nothing is counted in it any more, whose clock ever is late.
HOURS_OPEN = 3

_CURSOR, _START = "c:", "start:"
# Those of a replay end with the log that it reads.
_REPLAY = "replay."


@dataclass(frozen=True, slots=True)
class Counted:
    """A project's counters at `ms`. `months` are by 202611 and the like, `hours` by hour since 1970 and outcome;
    `sinks` are the fields that say how far each sink is."""

    project_id: str
    shard: int
    ms: int
    seq: int
    payload_bytes: int
    trimmed_seq: int
    trimmed_bytes: int
    months: Mapping[int, int]
    hours: Mapping[tuple[int, str], int]
    sinks: Mapping[str, str]

    @classmethod
    def of(cls, project_id: str, shard: int, ms: int, use: Sequence[bytes], cursors: Sequence[bytes]) -> "Counted":
        """From the fields and values of P:use and P:cur."""
        fields = _fields(use)
        months: dict[int, int] = {}
        hours: dict[tuple[int, str], int] = {}
        for name, value in fields.items():
            if name.startswith("h:"):
                _, hour, outcome = name.split(":", 2)
                hours[int(hour), outcome] = int(value)
            elif name[0] == "m" and name[1:].isdigit():
                months[int(name[1:])] = int(value)
        return cls(
            project_id,
            shard,
            ms,
            seq=int(fields.get("seq", 0)),
            payload_bytes=int(fields.get("bytes", 0)),
            trimmed_seq=int(fields.get("trimmed_seq", 0)),
            trimmed_bytes=int(fields.get("trimmed_bytes", 0)),
            months=months,
            hours=hours,
            sinks={name: value for name, value in _fields(cursors).items() if not _of_replay(name)},
        )

    def over(self) -> dict[str, int]:
        """The fields of P:use that nothing is added to any more: old hours and months."""
        hour, month = self.ms // HOUR_MS - HOURS_OPEN, _month_before(self.ms)
        old = {f"h:{one}:{outcome}": events for (one, outcome), events in self.hours.items() if one <= hour}
        return old | {f"m{one}": events for one, events in self.months.items() if one < month}

    def due_ms(self) -> int:
        """When its next hour is over; 0 where it has none."""
        hour = self.ms // HOUR_MS - HOURS_OPEN
        still_open = [one for one, _ in self.hours if one > hour]
        return (min(still_open) + HOURS_OPEN) * HOUR_MS if still_open else 0

    def places(self, sinks: Iterable[str]) -> list[tuple[str, int, int]]:
        """How far each sink is, of those that have settled something and of those named: (name, accepted events
        through its cursor, accepted events before its books start)."""
        settled = {name.removeprefix(_CURSOR) for name in self.sinks if name.startswith(_CURSOR)}
        found = []
        for sink in sorted(settled.union(sinks)):
            cursor = self.sinks.get(_CURSOR + sink)
            place = Position.parse(cursor) if cursor else oldest(self.trimmed_seq, self.trimmed_bytes)
            start = self.sinks.get(_START + sink, 0 if cursor else self.trimmed_seq)
            found.append((sink, place.seq, int(start)))
        return found


def open_since(ms: int) -> tuple[int, int]:
    """The oldest month and the oldest hour that may still be counted in."""
    return _month_before(ms), ms // HOUR_MS - HOURS_OPEN + 1


def _month_before(ms: int) -> int:
    first = datetime.fromtimestamp(ms / 1000, UTC).replace(day=1)
    return int(f"{first - timedelta(days=1):%Y%m}")


def _fields(raw: Sequence[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}


def _of_replay(field: str) -> bool:
    return field.partition(":")[2].startswith(_REPLAY)


# What Redis held of them was removed, or is about to be.
_DELETED = select(ProjectRow.id).where(ProjectRow.deleted_at.is_not(None))


@dataclass(frozen=True, slots=True)
class Epoch:
    """The name of a shard's data, and when the data before it was found to be lost; None where there was none."""

    name: str
    lost_ms: int | None


class SavedCounters:
    """Every method raises ControlDbUnavailable."""

    def __init__(self, database: ControlDb) -> None:
        self._database = database

    async def epochs(self) -> dict[int, Epoch]:
        """By shard."""
        async with self._database.read() as session:
            rows = await session.scalars(select(EpochRow))
            return {row.shard: Epoch(row.name, row.lost_at) for row in rows}

    async def rename(self, epochs: Mapping[int, tuple[str | None, Epoch]]) -> None:
        """Gives shards other epochs, where they still have the name that was seen; None: where they have none."""
        async with self._database.write() as session:
            for shard, (seen, epoch) in sorted(epochs.items()):
                if seen is None:
                    values = {"shard": shard, "name": epoch.name, "lost_at": epoch.lost_ms}
                    await session.execute(_insert(session, EpochRow).values(**values).on_conflict_do_nothing())
                else:
                    still = update(EpochRow).where(EpochRow.shard == shard, EpochRow.name == seen)
                    await session.execute(still.values(name=epoch.name, lost_at=epoch.lost_ms))

    async def fields(self, project_id: str) -> dict[str, int]:
        """A project's months and hours, all that were ever copied, as the fields of P:use name them."""
        async with self._database.read() as session:
            months = await session.scalars(select(MonthRow).where(MonthRow.project_id == project_id))
            hours = await session.scalars(select(HourRow).where(HourRow.project_id == project_id))
            fields = {f"m{row.month}": row.events for row in months}
            return fields | {f"h:{row.hour}:{row.outcome}": row.events for row in hours}

    async def seqs(self, project_ids: Collection[str]) -> dict[str, int]:
        """The accepted events of those projects that were copied before; nothing of one that was deleted."""
        wanted = select(CountersRow.project_id, CountersRow.seq).where(
            CountersRow.project_id.in_(project_ids), CountersRow.project_id.not_in(_DELETED)
        )
        async with self._database.read() as session:
            return {row.project_id: row.seq for row in await session.execute(wanted)}

    async def save(self, counted: Iterable[Counted]) -> None:
        """Copies are whole values, and none takes the place of a later one: saving again changes nothing."""
        # In one order, so that two who save at once wait for each other and not both.
        projects = sorted(counted, key=lambda one: one.project_id)
        counters = [
            {
                "project_id": one.project_id,
                "shard": one.shard,
                "seq": one.seq,
                "bytes": one.payload_bytes,
                "trimmed_seq": one.trimmed_seq,
                "trimmed_bytes": one.trimmed_bytes,
                "sinks": dict(one.sinks),
                "copied_at": one.ms,
            }
            for one in projects
        ]
        months = [
            {"project_id": one.project_id, "month": month, "events": events}
            for one in projects
            for month, events in sorted(one.months.items())
        ]
        hours = [
            {"project_id": one.project_id, "hour": hour, "outcome": outcome, "events": events}
            for one in projects
            for (hour, outcome), events in sorted(one.hours.items())
        ]
        async with self._database.write() as session:
            for model, rows, grows in (
                (CountersRow, counters, "seq"),
                (MonthRow, months, "events"),
                (HourRow, hours, "events"),
            ):
                if rows:
                    await session.execute(_unless_later(_insert(session, model), model, grows), rows)

    async def page(self, shards: Collection[int], after: str, count: int, ms: int) -> list[Counted]:
        """The next projects of these shards by id, none that was deleted, with the months and hours that may still be
        counted in at `ms`."""
        wanted = select(CountersRow).where(
            CountersRow.shard.in_(shards), CountersRow.project_id > after, CountersRow.project_id.not_in(_DELETED)
        )
        month, hour = open_since(ms)
        async with self._database.read() as session:
            rows = (await session.scalars(wanted.order_by(CountersRow.project_id).limit(count))).all()
            ids = [row.project_id for row in rows]
            months: dict[str, dict[int, int]] = {one: {} for one in ids}
            hours: dict[str, dict[tuple[int, str], int]] = {one: {} for one in ids}
            for month_row in await session.scalars(
                select(MonthRow).where(MonthRow.project_id.in_(ids), MonthRow.month >= month)
            ):
                months[month_row.project_id][month_row.month] = month_row.events
            for hour_row in await session.scalars(
                select(HourRow).where(HourRow.project_id.in_(ids), HourRow.hour >= hour)
            ):
                hours[hour_row.project_id][hour_row.hour, hour_row.outcome] = hour_row.events
            return [_counted(row, months[row.project_id], hours[row.project_id]) for row in rows]


def _counted(row: CountersRow, months: Mapping[int, int], hours: Mapping[tuple[int, str], int]) -> Counted:
    totals = (row.seq, row.bytes, row.trimmed_seq, row.trimmed_bytes)
    return Counted(row.project_id, row.shard, row.copied_at, *totals, months, hours, row.sinks)


def _insert(session: AsyncSession, model: type[Model]) -> Any:
    # Both know ON CONFLICT, each by a construct of its own.
    dialect = session.get_bind().dialect.name
    return (sqlite if dialect == "sqlite" else postgresql).insert(model)


def _unless_later(insert: Any, model: type[Model], grows: str) -> Any:
    """Takes the place of a row of the same key whose column `grows` holds no more."""
    table = model.__table__
    new = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    return insert.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_=new,
        where=insert.excluded[grows] >= table.c[grows],
    )
