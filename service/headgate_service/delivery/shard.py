"""One shard while its lease is held: a lane for each sink, and the log kept short."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from headgate.v1.delivery_pb2 import StoredReplay
from redis.exceptions import ResponseError

from headgate_service.delivery.lane import Lane
from headgate_service.delivery.late_lane import LateLane
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.retry_lane import RetryLane
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.log.redis_pipeline import RedisUnavailable

_BATCHES_PER_TRIM = 16
_PROJECTS_AT_ONCE = 64

_log = structlog.get_logger(__name__)


class Trimmer:
    """Removes from a shard's log what every sink is done with: of projects that moved every 16 batches, of all of them
    every `seconds`. `sinks_of` names those that read a project; `keep_bytes` says how many settled payload bytes a
    project may keep at this time."""

    def __init__(
        self,
        log: ShardLog,
        sinks_of: Callable[[str], Iterable[str]],
        seconds: float,
        keep_ms: int,
        keep_bytes: Callable[[], int],
        on_step: Callable[[str], None],
    ) -> None:
        self._log = log
        self._sinks_of = sinks_of
        self._seconds = seconds
        self._keep_ms = keep_ms
        self._keep_bytes = keep_bytes
        self._on_step = on_step
        self._moved: set[str] = set()
        self._batches = 0
        self._wake = asyncio.Event()
        self._stopping = False

    def moved(self, project_ids: Iterable[str]) -> None:
        self._moved.update(project_ids)
        self._batches += 1
        if self._batches >= _BATCHES_PER_TRIM:
            self._batches = 0
            self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`, or raises Fenced."""
        while not self._stopping:
            everything = False
            try:
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()
            except TimeoutError:
                everything = True
            self._wake.clear()
            if self._stopping:
                return
            try:
                await self._trim(await self._log.projects() if everything else list(self._moved))
            except (RedisUnavailable, ResponseError) as error:
                _log.warning("trimming waits for Redis", shard=self._log.shard, error=str(error))

    async def _trim(self, project_ids: list[str]) -> None:
        self._moved.difference_update(project_ids)
        keep_bytes = self._keep_bytes()
        for first in range(0, len(project_ids), _PROJECTS_AT_ONCE):
            await asyncio.gather(
                *(
                    self._log.trim(
                        project_id,
                        self._sinks_of(project_id),
                        self._keep_ms,
                        keep_bytes,
                    )
                    for project_id in project_ids[first : first + _PROJECTS_AT_ONCE]
                )
            )
            self._on_step("trim")


class Shard:
    """Runs until `stop`, or until the lease is found lost: then `run` raises a group with Fenced."""

    def __init__(
        self,
        lease: Lease,
        log: ShardLog,
        lanes: Sequence[Lane | LateLane],
        retry_lanes: Sequence[RetryLane],
        trimmer: Trimmer,
        make_replay: Callable[[StoredReplay], Lane | None],
    ) -> None:
        self.lease = lease
        self.log = log
        self._lanes = lanes
        self._retry_lanes = retry_lanes
        self._replays: dict[str, Lane] = {}
        self._trimmer = trimmer
        self._make_replay = make_replay
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            trimming = tasks.create_task(self._trimmer.run())
            lanes = [tasks.create_task(lane.run()) for lane in self._all_lanes()]
            self._tasks = tasks
            try:
                if lanes:
                    await asyncio.wait(lanes)
                    self._trimmer.stop()
                await trimming
            finally:
                self._tasks = None

    def mark(self, project_ids: Iterable[str]) -> None:
        for project_id in project_ids:
            for lane in self._lanes:
                lane.mark(project_id)

    def scan_soon(self) -> None:
        for lane in self._lanes:
            lane.scan_soon()

    def retry_soon(self) -> None:
        """An operator may have asked for dead letters to be sent again."""
        for lane in self._retry_lanes:
            lane.scan_soon()

    def replay(self, replays: Mapping[str, StoredReplay]) -> None:
        """Runs these replays, by id, and no others."""
        for gone in self._replays.keys() - replays.keys():
            self._replays.pop(gone).stop()
        for replay_id in replays.keys() - self._replays.keys():
            if self._tasks is not None and (lane := self._make_replay(replays[replay_id])) is not None:
                running = lane.run()
                try:
                    self._tasks.create_task(running)
                except RuntimeError:
                    # The shard is about to end: its lease was found lost.
                    running.close()
                    return
                self._replays[replay_id] = lane

    def stop(self) -> None:
        self._trimmer.stop()
        # No replay is begun from here on.
        self._tasks = None
        for lane in self._all_lanes():
            lane.stop()

    def _all_lanes(self) -> list[Lane | LateLane | RetryLane]:
        return [*self._lanes, *self._retry_lanes, *self._replays.values()]
