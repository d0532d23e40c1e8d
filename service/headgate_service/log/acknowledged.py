"""What was acknowledged to clients, compared with what Redis holds: a replica that lagged may be the primary now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter
from redis.exceptions import ResponseError

from headgate_service.log.month import Month
from headgate_service.redis.keys import READY_CHANNEL, shard_keys
from headgate_service.redis.pipeline import Exchange

# Other services find what they acknowledged to be lost at about the same time: no ordinal of theirs is to be given
# again meanwhile.
OTHERS_SECONDS = 1.0
_PROJECTS_AT_ONCE = 1_000

_SCRIPT = files(__package__).joinpath("scripts", "declare_lost.lua").read_bytes()
_SHA = sha1(_SCRIPT, usedforsecurity=False).hexdigest()
_log = structlog.get_logger(__name__)

Command = Sequence[bytes | str | int]


class AcknowledgedMetrics:
    """What was acknowledged and is lost."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lost = Counter(
            "headgate_log_lost_events",
            "Events that this service acknowledged and that Redis lost, in a failover to a replica that lagged or for "
            "want of its file. Not 0: see which sinks count them as dead (log_lost).",
            registry=registry,
        )

    def show(self, acknowledged: "Acknowledged") -> None:
        """Counts what it finds."""
        acknowledged.on_lost = self.lost.inc


class Acknowledged:
    """How many events of each project were accepted, as this process knows."""

    def __init__(self, month: Callable[[], Month], epoch: Callable[[int], str]) -> None:
        self._month = month
        self._epoch = epoch
        # By project: its shard, the name of the shard's epoch, the count.
        self._counts: dict[str, tuple[int, str, int]] = {}
        self.on_lost: Callable[[int], None] = lambda events: None
        # Of one that was deleted Redis holds nothing for a reason.
        self.exists: Callable[[str], bool] = lambda project_id: True

    def count(self, project_id: str) -> int:
        """0: none is known of. What was lost with an epoch is put back otherwise."""
        shard, epoch, count = self._counts.get(project_id, (0, "", 0))
        return count if epoch == self._epoch(shard) else 0

    def add(self, project_id: str, shard: int, count: int) -> None:
        """So many of a project are accepted now."""
        if count > self.count(project_id):
            self._counts[project_id] = shard, self._epoch(shard), count

    async def declare(self, execute: Callable[..., Awaitable[Any]], project_id: str, shard: int) -> None:
        """Has what Redis lacks of a project skipped and counted as lost. Raises RedisUnavailable, ResponseError."""
        self._note(project_id, await execute("EVAL", _SCRIPT, *self._arguments(project_id, shard)))

    async def compare(self, exchange: Exchange) -> None:
        """Does so for every project that is known of, before anything else is sent by a connection."""
        projects = [(one, known[0]) for one, known in self._counts.items() if self.count(one) and self.exists(one)]
        lost = 0
        for first in range(0, len(projects), _PROJECTS_AT_ONCE):
            some = projects[first : first + _PROJECTS_AT_ONCE]
            commands: list[Command] = [["SCRIPT", "LOAD", _SCRIPT]]
            commands += [["EVALSHA", _SHA, *self._arguments(*project)] for project in some]
            _, *replies = await exchange(commands)
            for (project_id, _), reply in zip(some, replies, strict=True):
                # One without its epoch has lost all, which is put back.
                if not isinstance(reply, ResponseError):
                    lost += self._note(project_id, reply)
        if lost:
            await asyncio.sleep(OTHERS_SECONDS)

    def _arguments(self, project_id: str, shard: int) -> Command:
        keys, month = shard_keys(shard), self._month()
        names = [keys.epoch, keys.project(project_id).use, keys.ready, keys.changed, keys.projects]
        known: Command = [self._epoch(shard), project_id, self.count(project_id)]
        return [len(names), *names, *known, month.field, month.next_field, month.end_ms, READY_CHANNEL, keys.tag]

    def _note(self, project_id: str, lost: int) -> int:
        if lost:
            last = self.count(project_id)
            self.on_lost(lost)
            _log.error(
                "REDIS LOST EVENTS THAT WERE ACKNOWLEDGED: it failed over to a replica that lagged, or was set back",
                project=project_id,
                events=lost,
                first=last - lost + 1,
                last=last,
            )
        return lost
