"""Runs a config over a project's latest stored events before it is deployed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.v1 import event_pb2

from headgate_service.log.entry import EntryUnreadable
from headgate_service.log.names import shard_keys
from headgate_service.log.reader import Entry, entry
from headgate_service.log.redis_pipeline import RedisPipeline
from headgate_service.policy.comparison import Comparison
from headgate_service.policy.deploys import Deploys
from headgate_service.project import Project

MOST_EVENTS, EVENTS = 10_000, 1_000
SECONDS = 8.0
MOST_BYTES = 64 * 1024 * 1024
_ENTRIES = 16
# Each keeps a thread, and the interpreter, busy.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Preview:
    """`complete`: whether all events were judged that were asked for, or are there. `from_ms`: when the oldest of them
    was received, 0 where there is none."""

    version: int
    changed: Sequence[str]
    comparison: Comparison
    complete: bool
    from_ms: int


class Previews:
    """`seconds` and `most_bytes` of log bound one preview."""

    def __init__(
        self, deploys: Deploys, redis: RedisPipeline, seconds: float = SECONDS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._deploys = deploys
        self._redis = redis
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, project: Project, config: Any, last: int) -> Preview:
        """Raises PolicyInvalid, ControlDbUnavailable, ProjectUnknown, RedisUnavailable."""
        done, before, after = await self._deploys.compared(project, config)
        async with self._turns:
            # Routes and schemas are compiled, and events judged, away from the requests of others.
            comparison = await asyncio.to_thread(Comparison, before, after)
            ends = asyncio.get_running_loop().time() + self._seconds
            from_ms, size, complete = 0, 0, True
            async for page in self._back(project):
                left = last - comparison.events
                if left <= 0:
                    break
                size += sum(len(one.payload) for one in page)
                if asyncio.get_running_loop().time() > ends or size > self._most_bytes:
                    complete = False
                    break
                events = (await asyncio.to_thread(_events, page))[-left:]
                await asyncio.to_thread(comparison.add, events)
                if events:
                    from_ms = events[0].receive_time.ToMilliseconds()
        return Preview(done.version, done.changed, comparison, complete, from_ms)

    async def _back(self, project: Project) -> AsyncIterator[list[Entry]]:
        """The project's entries from the latest on, a few at a time, each time the oldest first."""
        log = shard_keys(project.shard).project(project.id).log
        through = "+"
        while True:
            raw = await self._redis.execute("XREVRANGE", log, through, "-", "COUNT", _ENTRIES)
            page = [
                entry(project.id, entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
                for entry_id, fields in raw
            ]
            if page:
                yield page[::-1]
            if len(page) < _ENTRIES:
                return
            through = f"({page[-1].id}"


def _events(page: Sequence[Entry]) -> list[event_pb2.Event]:
    events: list[event_pb2.Event] = []
    for one in page:
        try:
            events += one.events()
        except EntryUnreadable:
            # The forwarder says so; what else there is can be judged.
            continue
    return events
