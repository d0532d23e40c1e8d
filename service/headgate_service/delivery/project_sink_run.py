"""A project's own sink while its shard is held: begins, changes and ends with what is deployed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from headgate_service.delivery.lane import Lane
from headgate_service.delivery.project_sink import ProjectSink
from headgate_service.delivery.retry_lane import RetryLane

# How long a write under way may take to end when the sink changes. What is given up then was promised, and comes again
# with the same content under the same id.
GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RunningSink:
    """What one version of a sink runs with. `lanes` are the sink's, `retry_lanes` those of its dead letters; neither
    has any where the sink cannot run. `close` is called when they have ended."""

    close: Callable[[], Awaitable[None]]
    lanes: Sequence[Lane] = ()
    retry_lanes: Sequence[RetryLane] = ()


class ProjectSinkRun:
    """Runs whatever version of a sink was last wanted, one after the other, so that no two write at once."""

    def __init__(self, sink: ProjectSink, make_running_sink: Callable[[ProjectSink], RunningSink]) -> None:
        self.project_id = sink.project_id
        self._wanted: ProjectSink | None = sink
        self._make_running_sink = make_running_sink
        self._running_sink: RunningSink | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def wanted(self) -> ProjectSink | None:
        return self._wanted

    def want(self, sink: ProjectSink | None) -> None:
        """Another version, or None: the sink ends."""
        self._wanted = sink
        self._changed.set()

    def stop(self) -> None:
        """Ends it once the write under way, if any, is settled."""
        self._stopping = True
        self._changed.set()

    def mark(self) -> None:
        """There is news of its project."""
        if self._running_sink is not None:
            for lane in self._running_sink.lanes:
                lane.mark(self.project_id)

    def scan_soon(self) -> None:
        if self._running_sink is not None:
            for lane in self._running_sink.lanes:
                lane.scan_soon()

    def retry_soon(self) -> None:
        if self._running_sink is not None:
            for lane in self._running_sink.retry_lanes:
                lane.scan_soon()

    async def run(self) -> None:
        """Until `stop`, or the sink has ended, or raises a group with Fenced."""
        while self._wanted is not None and not self._stopping:
            self._changed.clear()
            self._running_sink = self._make_running_sink(self._wanted)
            try:
                await self._run(self._running_sink)
            finally:
                running_sink, self._running_sink = self._running_sink, None
                await running_sink.close()

    async def _run(self, running_sink: RunningSink) -> None:
        lanes: list[Lane | RetryLane] = [*running_sink.lanes, *running_sink.retry_lanes]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(lane.run()) for lane in lanes]
            await self._changed.wait()
            for lane in lanes:
                lane.stop()
            if running and not self._stopping:
                # A shard that is given up waits as long as it may; a new version does not.
                await asyncio.wait(running, timeout=GRACE_SECONDS)
                for task in running:
                    task.cancel()
