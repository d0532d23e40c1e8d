"""One shard while its lease is held: a lane for each sink, and the log kept short."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import structlog
from headgate.v1.delivery_pb2 import StoredReplay

from headgate_service.delivery.idle_lanes import WaitingLane
from headgate_service.delivery.lane import Lane
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.project_sink import ProjectSink
from headgate_service.delivery.project_sink_run import ProjectSinkRun, RunningSink
from headgate_service.delivery.retry_lane import RetryLane
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.delivery.trimmer import Trimmer

_log = structlog.get_logger(__name__)


class Shard:
    """Runs until `stop`, or until the lease is found lost: then `run` raises a group with Fenced."""

    def __init__(
        self,
        lease: Lease,
        log: ShardLog,
        lanes: Sequence[Lane | WaitingLane],
        retry_lanes: Sequence[RetryLane],
        trimmer: Trimmer,
        make_replay: Callable[[StoredReplay], Lane | None],
        make_running_sink: Callable[[ProjectSink], RunningSink],
    ) -> None:
        self.lease = lease
        self.log = log
        self._lanes = lanes
        self._retry_lanes = retry_lanes
        # By id, each with the name of its sink.
        self._replays: dict[str, tuple[str, Lane]] = {}
        self._deployed: dict[str, ProjectSinkRun] = {}
        self._deployed_of: dict[str, list[ProjectSinkRun]] = {}
        self._trimmer = trimmer
        self._make_replay = make_replay
        self._make_running_sink = make_running_sink
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            trimming = tasks.create_task(self._trimmer.run())
            lanes = [tasks.create_task(lane.run()) for lane in (*self._lanes, *self._retry_lanes)]
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
            for deployed in self._deployed_of.get(project_id, ()):
                deployed.mark()

    def scan_soon(self) -> None:
        for lane in (*self._lanes, *self._deployed.values()):
            lane.scan_soon()

    def trim_soon(self) -> None:
        """Memory is short."""
        self._trimmer.trim_soon()

    def retry_soon(self) -> None:
        """An operator may have asked for dead letters to be sent again."""
        for lane in self._retry_lanes:
            lane.scan_soon()
        for deployed in self._deployed.values():
            deployed.retry_soon()

    def deploy(self, sinks: Mapping[str, ProjectSink]) -> None:
        """Runs these sinks of projects' own, by name, in these versions, and no others."""
        for name, run in self._deployed.items():
            wanted = sinks.get(name)
            if wanted is not run.wanted and not (wanted and run.wanted and wanted.same(run.wanted)):
                run.want(wanted)
                self._stop_replays_into(name)
        for name in sinks.keys() - self._deployed.keys():
            run = ProjectSinkRun(sinks[name], self._make_running_sink)
            task = self._begin(run.run())
            if task is None:
                return
            self._deployed[name] = run
            self._deployed_of.setdefault(run.project_id, []).append(run)
            task.add_done_callback(functools.partial(self._forget, name, run))

    def replay(self, replays: Mapping[str, StoredReplay]) -> None:
        """Runs these replays, by id, and no others."""
        for gone in self._replays.keys() - replays.keys():
            self._replays.pop(gone)[1].stop()
        for replay_id in replays.keys() - self._replays.keys():
            if self._tasks is not None and (lane := self._make_replay(replays[replay_id])) is not None:
                if self._begin(lane.run()) is None:
                    return
                self._replays[replay_id] = replays[replay_id].sink, lane

    def stop(self) -> None:
        self._trimmer.stop()
        # No replay is begun from here on.
        self._tasks = None
        for lane in (*self._lanes, *self._retry_lanes, *self._deployed.values()):
            lane.stop()
        for _, replay in self._replays.values():
            replay.stop()

    def _begin(self, running: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """None where the shard is about to end."""
        if self._tasks is not None:
            # A group whose lease was found lost takes no task more.
            with contextlib.suppress(RuntimeError):
                return self._tasks.create_task(running)
        running.close()
        return None

    def _stop_replays_into(self, sink: str) -> None:
        """They begin again with the sink's new version, if there is one."""
        for replay_id in [replay_id for replay_id, (name, _) in self._replays.items() if name == sink]:
            self._replays.pop(replay_id)[1].stop()

    def _forget(self, name: str, run: ProjectSinkRun, task: "asyncio.Task[None]") -> None:
        del self._deployed[name]
        others = self._deployed_of[run.project_id]
        others.remove(run)
        if not others:
            del self._deployed_of[run.project_id]
