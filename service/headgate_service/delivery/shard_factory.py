"""Builds what runs while a shard is held: a lane for each sink, for each replay, and the trimmer."""

import dataclasses
import functools
from collections.abc import Iterable

from headgate.v1.delivery_pb2 import StoredReplay

from headgate_service.delivery.batch_reader import EventCache
from headgate_service.delivery.commands import Commands
from headgate_service.delivery.config import Config
from headgate_service.delivery.forwarder import ProjectCount
from headgate_service.delivery.idle_lanes import ExpiringLane, WaitingLane
from headgate_service.delivery.lane import Lane
from headgate_service.delivery.lane_context import LaneContext
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.memory_pressure import MemoryPressure
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.project_sink import ProjectSink
from headgate_service.delivery.project_sink_network import ProjectSinkResolvers
from headgate_service.delivery.project_sink_run import RunningSink
from headgate_service.delivery.project_sinks import ProjectSinks
from headgate_service.delivery.replay import ReplayLog, ReplayMetrics, ReplayRunner
from headgate_service.delivery.retry_lane import RetryLane, RetryQueue
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.shard_log import ProjectLog, ShardLog
from headgate_service.delivery.sink_runner import SinkRunner, make_project_sink_runner
from headgate_service.delivery.sink_runners import SinkRunners
from headgate_service.delivery.status import StatusBoard
from headgate_service.delivery.store_log import StoreLog
from headgate_service.delivery.trimmer import Trimmer
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.store.client import Store
from headgate_service.store.history import History


class ShardFactory:
    """Makes the shards of one forwarder, which share its sink runners and metrics."""

    def __init__(
        self,
        redis: RedisPipeline,
        config: Config,
        context: LaneContext,
        runners: SinkRunners,
        *,
        metrics: DeliveryMetrics,
        observers: Observers,
        resolvers: ProjectSinkResolvers,
        project_count: ProjectCount,
        pressure: MemoryPressure,
        commands: Commands,
        project_sinks: ProjectSinks,
        board: StatusBoard,
        store: Store | None = None,
    ) -> None:
        self._redis = redis
        self._config = config
        self._context = context
        self._runners = runners
        self._metrics = metrics
        self._sink_metrics = {runner.name: metrics.of(runner) for runner in runners.configured}
        self._observers = observers
        self._resolvers = resolvers
        self._project_count = project_count
        self._pressure = pressure
        self._commands = commands
        self._project_sinks = project_sinks
        self._board = board
        self._store = store
        self._replay_runners: dict[str, ReplayRunner] = {}

    def make_shard(self, lease: Lease) -> Shard:
        """What runs under this lease."""
        log = ShardLog(self._redis, lease)
        self._board.holds(lease.shard, lease.epoch)
        trimmer = Trimmer(
            log,
            self._readers_of,
            self._config.trim,
            int(self._config.keep_seconds * 1000),
            self._keep_bytes,
            self._context.on_step,
        )
        runners = self._runners.configured
        return Shard(
            lease,
            log,
            [self._make_lane(runner, log, lease, trimmer) for runner in runners],
            [self._make_retry_lane(runner, lease) for runner in runners if not runner.broken],
            trimmer,
            functools.partial(self._make_replay, lease, trimmer),
            functools.partial(self._make_running_sink, lease, trimmer),
        )

    def _keep_bytes(self) -> int:
        """How many settled payload bytes a project may keep now."""
        return self._pressure.of(self._config.keep_bytes) // self._project_count.projects

    def _make_lane(self, runner: SinkRunner, log: ShardLog, lease: Lease, trimmer: Trimmer) -> Lane | WaitingLane:
        metrics = self._sink_metrics[runner.name]

        def make_lane() -> Lane:
            return Lane(runner, log, lease.epoch, self._context, metrics, trimmer.moved)

        def make_expiring() -> ExpiringLane:
            return ExpiringLane(runner, log, lease.epoch, self._context, metrics, trimmer.moved)

        if runner.broken:
            return make_expiring()
        return make_lane() if runner.known.is_set() else WaitingLane(runner.known, make_lane, make_expiring)

    def _make_retry_lane(self, runner: SinkRunner, lease: Lease) -> RetryLane:
        queue = RetryQueue(self._redis, lease, runner.name)
        return RetryLane(runner, queue, lease.epoch, self._context, self._sink_metrics[runner.name])

    def _make_running_sink(self, lease: Lease, trimmer: Trimmer, sink: ProjectSink) -> RunningSink:
        runner = make_project_sink_runner(
            sink, self._config.data_dir, self._context.clock, self._observers, self._resolvers
        )
        runner.hold(runner.name in self._commands.paused)
        self._runners.add(sink.project_id, runner)
        context = dataclasses.replace(self._context, config_version=sink.version)
        metrics = self._metrics.of_project_sink(runner, lambda: self._runners.deployed)
        log = ProjectLog(self._redis, lease, sink.project_id)
        close = functools.partial(self._close_project_sink, sink.project_id, runner)
        kind = ExpiringLane if runner.broken else Lane
        lane = kind(runner, log, lease.epoch, context, metrics, trimmer.moved)
        if runner.broken:
            return RunningSink(close, [lane])
        queue = RetryQueue(self._redis, lease, runner.name)
        return RunningSink(close, [lane], [RetryLane(runner, queue, lease.epoch, context, metrics)])

    async def _close_project_sink(self, project_id: str, runner: SinkRunner) -> None:
        self._runners.remove(project_id, runner)
        for replay_id in [name for name, replay in self._replay_runners.items() if replay.sink is runner.sink]:
            del self._replay_runners[replay_id]
        await runner.close()

    def _make_replay(self, lease: Lease, trimmer: Trimmer, stored: StoredReplay) -> Lane | None:
        runner = self._replay_runner(stored)
        if runner is None:
            return None
        log, context = ReplayLog(self._redis, lease, stored), self._context
        if stored.from_store:
            if self._store is None:
                return None
            log = StoreLog(self._redis, lease, stored, History(self._store))
            # Its entries are named as those of the log are, and are others.
            context = dataclasses.replace(context, cache=EventCache())
        return Lane(runner, log, f"{lease.epoch}-{stored.id}", context, ReplayMetrics(), trimmer.moved)

    def _replay_runner(self, stored: StoredReplay) -> ReplayRunner | None:
        """One for all shards, which share its rate. None if its sink is not here, or not loaded yet."""
        if stored.id not in self._replay_runners:
            runner = self._runners.named(stored.sink)
            if runner is not None and not runner.broken and runner.known.is_set():
                self._replay_runners[stored.id] = ReplayRunner(runner, stored, self._context.clock)
        return self._replay_runners.get(stored.id)

    def _readers_of(self, project_id: str) -> Iterable[str]:
        """The names that a project's log is kept for; `~` marks a sink that is switched off."""
        sinks = [sink for sink in self._config.sinks if sink.serves(project_id)]
        names = [sink.name if sink.enabled else f"~{sink.name}" for sink in sinks]
        return [*names, *self._project_sinks.readers(project_id), *self._commands.replays_of(project_id)]
