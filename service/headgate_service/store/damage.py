"""Parts of the store that the engine set aside because they are broken: their rows are missing from every answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headgate_service.store.client import Store
from headgate_service.store.schema import SETTLED_PARTS_TABLE, TABLE

# Replicas fetch a broken part again by themselves. What an operator detached has no reason.
DAMAGED_PARTS = (
    "SELECT name, reason, partition_id FROM system.detached_parts"  # noqa: S608 (constants)
    f" WHERE database = currentDatabase() AND table = '{TABLE}'"
    " AND (reason = '' OR startsWith(reason, 'broken') OR reason = 'unexpected')"
    f" AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MergeTree')"
    f" AND name NOT IN (SELECT part FROM {SETTLED_PARTS_TABLE}) ORDER BY name"
)
"""The parts that were set aside, but for those that were settled."""


@dataclass(frozen=True, slots=True)
class DamagedPart:
    """`name` is that of its folder in `detached`. `month` is 202611 and the like, when its events were received."""

    name: str
    reason: str
    month: str

    @property
    def from_ms(self) -> int:
        """When its month begins, in milliseconds since 1970; 0 where that is not known."""
        try:
            return int(datetime.strptime(self.month, "%Y%m").replace(tzinfo=UTC).timestamp() * 1000)
        except ValueError:
            return 0


def damaged_parts(rows: Sequence[Sequence[Any]]) -> list[DamagedPart]:
    """From the rows of DAMAGED_PARTS."""
    return [DamagedPart(str(name), str(reason) or "detached", str(month)) for name, reason, month in rows]


class Damage:
    """What is damaged in one store. Raises StoreFailed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def parts(self) -> list[DamagedPart]:
        return damaged_parts(await self._store.query(DAMAGED_PARTS))

    async def settle(self, parts: Sequence[DamagedPart]) -> None:
        """From now on these count as mended, or as given up; their folders stay where they are."""
        names = [part.name for part in parts]
        insert = f"INSERT INTO {SETTLED_PARTS_TABLE} (part) SELECT arrayJoin({{names:Array(String)}})"
        await self._store.command(insert, {"names": names})
