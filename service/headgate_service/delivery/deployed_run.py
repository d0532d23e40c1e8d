"""A project's own sink while its shard is held: begins, changes and ends with what is deployed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from headgate_service.delivery.deployed_sink import DeployedSink
from headgate_service.delivery.lane import Lane
from headgate_service.delivery.retry_lane import RetryLane

# How long a write under way may take to end when the sink changes. What is given up then was promised, and comes again
# with the same content under the same id.
GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Station:
    """What one version of a sink runs with. `lanes` are the sink's, `retry_lanes` those of its dead letters; neither
    has any where the sink cannot run. `close` is called when they have ended."""

    close: Callable[[], Awaitable[None]]
    lanes: Sequence[Lane] = ()
    retry_lanes: Sequence[RetryLane] = ()


class DeployedRun:
    """Runs whatever version of a sink was last wanted, one after the other, so that no two write at once."""

    def __init__(self, sink: DeployedSink, make_station: Callable[[DeployedSink], Station]) -> None:
        self.project_id = sink.project_id
        self._wanted: DeployedSink | None = sink
        self._make_station = make_station
        self._station: Station | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def wanted(self) -> DeployedSink | None:
        return self._wanted

    def want(self, sink: DeployedSink | None) -> None:
        """Another version, or None: the sink ends."""
        self._wanted = sink
        self._changed.set()

    def stop(self) -> None:
        """Ends it once the write under way, if any, is settled."""
        self._stopping = True
        self._changed.set()

    def mark(self) -> None:
        """There is news of its project."""
        if self._station is not None:
            for lane in self._station.lanes:
                lane.mark(self.project_id)

    def scan_soon(self) -> None:
        if self._station is not None:
            for lane in self._station.lanes:
                lane.scan_soon()

    def retry_soon(self) -> None:
        if self._station is not None:
            for lane in self._station.retry_lanes:
                lane.scan_soon()

    async def run(self) -> None:
        """Until `stop`, or the sink has ended, or raises a group with Fenced."""
        while self._wanted is not None and not self._stopping:
            self._changed.clear()
            self._station = self._make_station(self._wanted)
            try:
                await self._run(self._station)
            finally:
                station, self._station = self._station, None
                await station.close()

    async def _run(self, station: Station) -> None:
        lanes: list[Lane | RetryLane] = [*station.lanes, *station.retry_lanes]
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
