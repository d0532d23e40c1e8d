"""A replay as a forwarder runs it: a lane as every other, over a part of the log, with cursors of its own."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from headgate.v1 import delivery_pb2
from headgate_sinks import Batch, Limits, Outcome

from headgate_service.delivery.lease import Lease
from headgate_service.delivery.metrics import SinkMetrics
from headgate_service.delivery.shard_log import ShardLog, Use
from headgate_service.delivery.sink_runner import SinkRunner
from headgate_service.log.reader import Entry
from headgate_service.model.route import narrowed
from headgate_service.redis.keys import replay_sink
from headgate_service.redis.pipeline import RedisPipeline

_BUSY_SECONDS = 0.05
_MAX_HOLD_SECONDS = 0.5


class ReplayLog(ShardLog):
    """A shard of the log that holds only what a replay is to send, up to where it ends."""

    def __init__(self, redis: RedisPipeline, lease: Lease, stored: delivery_pb2.StoredReplay) -> None:
        super().__init__(redis, lease)
        self._ranges = {one.project_id: one for one in stored.ranges if one.shard == lease.shard}

    async def projects(self) -> list[str]:
        return list(self._ranges)

    async def use(self, project_ids: Sequence[str]) -> list[Use]:
        return [Use(self._ranges[one].last_seq, self._ranges[one].last_bytes) for one in project_ids]

    async def read(self, project_id: str, after: str, count: int) -> list[Entry]:
        entries = await super().read(project_id, after, count)
        last = self._ranges[project_id].last_seq
        return [entry for entry in entries if entry.seq <= last]


class ReplayRunner(SinkRunner):
    """A sink as a replay sees it: under the replay's name, for its projects, at its rate. It shares the sink's slots.

    With a rate the replay's batches are written one at a time, and are small enough that none takes its second over.
    """

    def __init__(self, sink: SinkRunner, stored: delivery_pb2.StoredReplay, clock: Callable[[], float]) -> None:
        projects = frozenset(one.project_id for one in stored.ranges)
        route = narrowed(sink.config.route, stored.route)
        super().__init__(replace(sink.config, projects=projects, route=route), sink.sink, clock)
        self._shared = sink
        self.crashes = sink.crashes
        self._name = replay_sink(stored.id)
        self._rate = stored.rate
        self._free_at = 0.0
        self._busy = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def expires(self) -> bool:
        return False

    @property
    def limits(self) -> Limits:
        own = self._shared.limits
        return own if not self._rate else Limits(min(own.events, self._rate), own.bytes, own.age)

    @property
    def hold_seconds(self) -> float:
        if held := self._shared.hold_seconds:
            return held
        if self._busy:
            return _BUSY_SECONDS
        return min(max(0.0, self._free_at - asyncio.get_running_loop().time()), _MAX_HOLD_SECONDS)

    async def write(self, batch: Batch, alone: bool = False) -> Outcome:
        if not self._rate:
            return await self._shared.write(batch, alone)
        self._busy = True
        self._free_at = asyncio.get_running_loop().time() + len(batch.events) / self._rate
        try:
            return await self._shared.write(batch, alone)
        finally:
            self._busy = False


class ReplayMetrics(SinkMetrics):
    """Counts nothing: a replay has books of its own, and its sink's metrics speak of what comes in."""

    def __init__(self) -> None:
        pass

    def settled(self, delivered: int, dead: int, filtered: int = 0, route_errors: int = 0) -> None:
        pass

    def retried(self) -> None:
        pass

    def letters_unkept(self, letters: int) -> None:
        pass

    def waiting(self, shard: Hashable, events: int) -> None:
        pass

    def oldest(self, shard: Hashable, receive_ms: int | None) -> None:
        pass

    def forget(self, shard: Hashable) -> None:
        pass
