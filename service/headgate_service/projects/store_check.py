"""Whether the store holds what the ledger says was delivered to it, by project and hour."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate_service.delivery.books import Books, Ledger
from headgate_service.directory.project import Project
from headgate_service.model.sink import SinkSpec
from headgate_service.projects.usage import Usages
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.store.client import Store
from headgate_service.store.schema import ERASED_TABLE, RETENTION_TABLE, TABLE

_PROJECTS_AT_ONCE = 200
_HOURS_OF_DAY = 24


@dataclass(frozen=True, slots=True)
class HourCheck:
    """An hour since 1970: how many events the store should hold of it at least, and how many it holds."""

    hour: int
    expected: int
    rows: int


@dataclass(frozen=True, slots=True)
class ProjectCheck:
    """`hours` are those in which the store and the ledger differ. `excused`: what of that its sink filtered or gave up,
    of which no hour is known. `missing`: what it should hold besides, and does not. `surplus`: what it holds and was
    never accepted."""

    project: Project
    expected: int
    rows: int
    excused: int
    missing: int
    surplus: int
    hours: Sequence[HourCheck]

    @property
    def whole(self) -> bool:
        return not self.missing and not self.surplus


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says of a project: rows and deleted rows by hour, and the first hour that it still keeps."""

    rows: Mapping[int, int]
    erased: Mapping[int, int]
    kept_from: int = 0


def compare(project: Project, accepted: Mapping[int, int], books: Books, stored: Stored, now_hour: int) -> ProjectCheck:
    """`accepted` is the ledger by hour, read before the books, and those before the store: what comes in meanwhile
    makes no difference. An hour that is not over is not looked at for surplus."""
    expected = _expected(accepted, books, stored)
    differing, lacking, surplus = [], 0, 0
    for hour in sorted(expected.keys() | stored.rows.keys()):
        wanted, rows = expected.get(hour, 0), stored.rows.get(hour, 0)
        beyond = rows - accepted.get(hour, 0) if hour < now_hour else 0
        if rows < wanted or beyond > 0:
            differing.append(HourCheck(hour, wanted, rows))
            lacking += max(wanted - rows, 0)
            surplus += max(beyond, 0)
    excused = min(books.filtered + books.dead, lacking)
    return ProjectCheck(
        project=project,
        expected=sum(expected.values()) - excused,
        rows=sum(stored.rows.values()),
        excused=excused,
        missing=lacking - excused,
        surplus=surplus,
        hours=differing,
    )


def _expected(accepted: Mapping[int, int], books: Books, stored: Stored) -> dict[int, int]:
    """What must be there of each hour: not what was accepted before the sink's start, waits still, was deleted by a
    person, or was kept long enough."""
    expected = dict(accepted)
    hours = sorted(expected)
    # Hours of which the ledger knows nothing any more came first.
    before = books.start - max(0, books.last - sum(accepted.values()))
    for order, left in ((hours, before), (hours[::-1], books.pending)):
        for hour in order:
            if left <= 0:
                break
            taken = min(left, expected[hour])
            expected[hour] -= taken
            left -= taken
    return {
        hour: max(0, events - stored.erased.get(hour, 0)) if hour >= stored.kept_from else 0
        for hour, events in expected.items()
    }


class StoreCheck:
    """Compares. Raises RedisUnavailable, ResponseError, ControlDbUnavailable, StoreFailed."""

    def __init__(self, redis: RedisPipeline, usages: Usages, store: Store, rule: SinkSpec) -> None:
        self._ledger = Ledger(redis)
        self._usages = usages
        self._store = store
        self._rule = rule

    async def run(self, projects: Sequence[Project], now_ms: int) -> list[ProjectCheck]:
        """Of those projects that the store's sink serves, in their order."""
        served = [project for project in projects if self._rule.serves(project.id, project.slug)]
        checks: list[ProjectCheck] = []
        for first in range(0, len(served), _PROJECTS_AT_ONCE):
            some = served[first : first + _PROJECTS_AT_ONCE]
            accepted = [
                {hour: counts.accepted for hour, counts in (await self._usages.of(project)).hours.items()}
                for project in some
            ]
            books = await asyncio.gather(*map(self._books, some))
            stored = await self._stored([project.id for project in some])
            checks += [
                compare(project, hours, of_sink, stored[project.id], now_ms // 3_600_000)
                for project, hours, of_sink in zip(some, accepted, books, strict=True)
            ]
        return checks

    async def _books(self, project: Project) -> Books:
        (books,) = await self._ledger.books(shard_keys(project.shard), project.id, [self._rule.name])
        return books

    async def _stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        which = {"ids": list(ids)}
        rows: dict[str, dict[int, int]] = {one: {} for one in ids}
        erased: dict[str, dict[int, int]] = {one: {} for one in ids}
        for project, hour, events in await self._store.query(
            f"SELECT project_id, hour, sum(events) FROM {ERASED_TABLE}"  # noqa: S608 (constants)
            " WHERE project_id IN {ids:Array(String)} GROUP BY project_id, hour",
            which,
        ):
            erased[project][hour] = events
        kept = {
            project: first * _HOURS_OF_DAY
            for project, first in await self._store.query(
                "SELECT project_id, intDiv(toUnixTimestamp(now()), 86400) - argMax(days, since) AS first"  # noqa: S608
                f" FROM {RETENTION_TABLE} WHERE project_id IN {{ids:Array(String)}}"
                " GROUP BY project_id HAVING argMax(days, since) > 0",
                which,
            )
        }
        for project, hour, events in await self._store.query(
            f"SELECT project_id, intDiv(toUnixTimestamp(receive_time), 3600) AS hour, count() FROM {TABLE}"  # noqa: S608
            " WHERE project_id IN {ids:Array(String)} GROUP BY project_id, hour",
            which,
        ):
            rows[project][hour] = events
        return {one: Stored(rows[one], erased[one], kept.get(one, 0)) for one in ids}
