"""Finds what of a backlog has to be given up, where a sink is one that may."""

from collections.abc import Mapping, Sequence

from headgate_service.delivery.harvest import EventCache, read_range
from headgate_service.delivery.portion import Portion
from headgate_service.delivery.position import Position
from headgate_service.delivery.settlement import GivenUp
from headgate_service.delivery.shard_log import ShardLog, Use
from headgate_service.route import Route

_ENTRIES_AT_ONCE = 8


class Expiry:
    """Of one sink in one shard. A project may have so many payload bytes after the sink's position in it."""

    def __init__(self, log: ShardLog, cache: EventCache, route: Route | None, backlog_bytes: int) -> None:
        self._log = log
        self._cache = cache
        self._route = route
        self._backlog_bytes = backlog_bytes

    async def overdue(
        self, positions: Mapping[str, Position], uses: Mapping[str, Use], promised: Sequence[Portion]
    ) -> dict[str, GivenUp]:
        """What must go of each project, the oldest first; projects within the bound are left out. Of what is promised
        nothing is left that was counted already and has no event before its end: its cursor may go there."""
        found: dict[str, GivenUp] = {}
        for project_id, use in uses.items():
            start = positions[project_id]
            excess = use.bytes - start.bytes - self._backlog_bytes
            if excess > 0:
                held = [portion for portion in promised if portion.project_id == project_id]
                end = await self._position_after(project_id, start, excess)
                one = await self._given_up(project_id, start, end, held)
                if one.end != start:
                    found[project_id] = one
        return found

    async def _given_up(self, project_id: str, start: Position, end: Position, held: Sequence[Portion]) -> GivenUp:
        if self._route is None and not held:
            return GivenUp.whole(start, end)
        dead: list[int] = []
        filtered: list[int] = []
        errors, reached = 0, start
        for portion in held:
            if portion.start.seq >= end.seq:
                break
            if portion.last > end.seq and portion.ordinals and portion.ordinals[-1] > end.seq:
                portion = portion.through(end.seq)
            dead += portion.ordinals
            filtered += portion.filtered
            errors += portion.route_errors
            reached = portion.end
        if reached.seq >= end.seq:
            return GivenUp(reached, dead, reached.bytes - start.bytes, filtered, errors)
        if self._route is None:
            dead += range(reached.seq + 1, end.seq + 1)
            return GivenUp(end, dead, end.bytes - start.bytes, filtered, errors)
        beyond = await read_range(self._log, self._cache, project_id, reached, end, self._route)
        dead += beyond.ordinals
        filtered += beyond.filtered
        return GivenUp(beyond.end, dead, end.bytes - start.bytes, filtered, errors + beyond.route_errors)

    async def _position_after(self, project_id: str, start: Position, payload_bytes: int) -> Position:
        """The end of the first entry with which at least so many bytes after `start` are done."""
        position = start
        while position.bytes - start.bytes < payload_bytes:
            entries = await self._log.read(project_id, position.entry, _ENTRIES_AT_ONCE)
            if not entries:
                break
            for entry in entries:
                position = Position(entry.id, entry.seq, entry.log_bytes)
                if position.bytes - start.bytes >= payload_bytes:
                    break
        return position
