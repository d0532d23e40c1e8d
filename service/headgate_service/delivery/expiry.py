"""Finds what of a backlog has to be given up, where a sink is one that may."""

from collections.abc import Mapping

from headgate_service.delivery.position import Position
from headgate_service.delivery.shard_log import ShardLog, Use

_ENTRIES_AT_ONCE = 8


async def overdue(
    log: ShardLog, positions: Mapping[str, Position], uses: Mapping[str, Use], backlog_bytes: int
) -> dict[str, tuple[Position, Position]]:
    """From where to where each project's oldest events must go, so that it has at most so many payload bytes after its
    position; projects within the bound are left out."""
    found: dict[str, tuple[Position, Position]] = {}
    for project_id, use in uses.items():
        start = positions[project_id]
        excess = use.bytes - start.bytes - backlog_bytes
        if excess > 0:
            found[project_id] = (start, await _position_after(log, project_id, start, excess))
    return found


async def _position_after(log: ShardLog, project_id: str, start: Position, payload_bytes: int) -> Position:
    """The end of the first entry with which at least so many bytes after `start` are done."""
    position = start
    while position.bytes - start.bytes < payload_bytes:
        entries = await log.read(project_id, position.entry, _ENTRIES_AT_ONCE)
        if not entries:
            break
        for entry in entries:
            position = Position(entry.id, entry.seq, entry.log_bytes)
            if position.bytes - start.bytes >= payload_bytes:
                break
    return position
