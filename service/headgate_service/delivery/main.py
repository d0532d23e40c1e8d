"""The forwarder's composition root."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import redis.asyncio
import structlog
from headgate_sinks.sdk.host import load, third_party
from prometheus_client import CollectorRegistry, start_http_server
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from headgate_service.delivery.audit import Audit
from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.batch_reader import EventCache
from headgate_service.delivery.books import Ledger
from headgate_service.delivery.commands import Commands
from headgate_service.delivery.config import Config
from headgate_service.delivery.dead_letter_bounds import DeadLetterTotal
from headgate_service.delivery.forwarder import Forwarder, ProjectCount
from headgate_service.delivery.lane_context import LaneContext
from headgate_service.delivery.memory_pressure import MemoryPressure
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.plugin_worker.isolated_sink import IsolatedSink
from headgate_service.delivery.plugin_worker.remote_plugin import HookWorkers, sink_plugins
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation
from headgate_service.delivery.project_sink_network import ProjectSinkResolvers
from headgate_service.delivery.project_sinks import NoProjectSinks, ProjectSinks, SinkChangesSource
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.shard_factory import ShardFactory
from headgate_service.delivery.sink_runner import SinkRunner, make_sink_runners
from headgate_service.delivery.sink_runners import SinkRunners
from headgate_service.delivery.status import StatusBoard
from headgate_service.delivery.wakeup import Wakeup
from headgate_service.process import freeze_gc
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.store.client import Store

_OBSERVERS_SECONDS = 2.0
_STORE_SECONDS = 60.0

_log = structlog.get_logger(__name__)


async def serve(
    config: Config,
    source: SinkChangesSource | None = None,
    *,
    stop: asyncio.Event | None = None,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Delivers until SIGTERM or SIGINT, or until `stop` is set if it is given.

    `source` tells of the sinks that projects deploy; None: there are none.
    `on_step` is called after each lease, read, seal, write, settle and trim with its name, for tests that end there.
    `clock` gives seconds since 1970, `chance` a number in [0, 1).
    """
    stop = stop or _stop_at_signal()
    registry = registry or CollectorRegistry()
    connections = _Connections(config)
    log = connections.log
    sinks = _load_sinks(config, clock, Backoff(config.backoff_first, config.backoff_longest, chance))
    owner = config.owner or os.urandom(8).hex()

    metrics = DeliveryMetrics(registry, clock)
    runners = SinkRunners(sinks.runners)
    shards: dict[str, Shard] = {}
    project_count = ProjectCount(log, config.scan)
    pressure = MemoryPressure(log, shards, metrics)
    commands = Commands(log, runners, shards, clock)
    project_sinks = ProjectSinks(source or NoProjectSinks(), shards)
    board = StatusBoard(log, runners)
    context = _lane_context(config, sinks.backoff, clock, on_step)
    factory = ShardFactory(
        *(log, config, context, runners),
        metrics=metrics,
        observers=sinks.observers,
        resolvers=connections.resolvers,
        project_count=project_count,
        pressure=pressure,
        commands=commands,
        project_sinks=project_sinks,
        board=board,
        store=connections.store,
    )
    forwarder = Forwarder(log, owner, config.lease, factory.make_shard, shards, on_step)
    wakeup = Wakeup(connections.notifications, shards, config.ready_poll, forwarder.lose)
    audit = Audit(Ledger(log), runners, shards, metrics, config.scan, config.backlog_bytes)
    letters = DeadLetterTotal(log, shards, config.dead_letter_total_bytes, metrics)
    stop_metrics = _serve_metrics(config, registry)
    try:
        sinks.start()
        freeze_gc()
        _log.info("forwarder runs", sinks=[runner.name for runner in sinks.runners], owner=owner)
        tasks: list[_Task] = [project_count, pressure, wakeup, commands, audit, project_sinks, letters]
        await _run(stop, board, forwarder, config.drain, tasks)
    finally:
        await sinks.close()
        stop_metrics()
        await connections.close()
    _log.info("forwarder stopped")


def _serve_metrics(config: Config, registry: CollectorRegistry) -> Callable[[], None]:
    """Returns what ends it."""
    if config.metrics_port is None:
        return lambda: None
    server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
    return server.shutdown


def _stop_at_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


class _Task(Protocol):
    async def run(self) -> None: ...


async def _run(
    stop: asyncio.Event, board: StatusBoard, forwarder: Forwarder, drain: float, tasks: Sequence[_Task]
) -> None:
    """Runs all until `stop` is set or one fails; then drains for at most `drain` seconds."""
    showing = asyncio.create_task(board.run())
    running = [showing, *(asyncio.create_task(task.run()) for task in (forwarder, *tasks))]
    try:
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        # The board keeps its last state: a sink that nobody runs must not be shown as running.
        showing.cancel()
        await forwarder.drain(drain)
        for task in done - {stopped}:
            await task
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Connections:
    """What a forwarder holds open: the log, its notifications, the store that is replayed from, and resolvers."""

    def __init__(self, config: Config) -> None:
        self.log = RedisPipeline(config.redis_url, deadline=config.redis_deadline)
        self.notifications = _connect_for_notifications(config)
        self.resolvers = ProjectSinkResolvers()
        self.store = Store(config.store_url, _STORE_SECONDS) if config.store_url else None

    async def close(self) -> None:
        self.resolvers.close()
        await self.notifications.aclose()
        await self.log.close()
        if self.store:
            await self.store.close()


def _connect_for_notifications(config: Config) -> redis.asyncio.Redis:
    """A connection apart from the pipeline's: a blocking read must not hold up the others."""
    return redis.asyncio.Redis.from_url(
        config.redis_url,
        protocol=2,
        socket_timeout=config.redis_deadline,
        socket_connect_timeout=config.redis_deadline,
        retry=Retry(NoBackoff(), 0),
    )


def _lane_context(
    config: Config, backoff: Backoff, clock: Callable[[], float], on_step: Callable[[str], None]
) -> LaneContext:
    return LaneContext(
        backoff=backoff,
        config_version=config.config_version,
        scan=config.scan,
        pause=config.pause,
        expire_check=config.expire_check,
        backlog_bytes=config.backlog_bytes,
        letter_bytes=config.dead_letter_bytes,
        cache=EventCache(),
        clock=clock,
        on_step=on_step,
    )


@dataclass(frozen=True, slots=True)
class _Sinks:
    """The operator's sinks and plugins as they were loaded."""

    runners: Sequence[SinkRunner]
    observers: Observers
    hook_workers: HookWorkers
    backoff: Backoff

    def start(self) -> None:
        self.hook_workers.start()
        for runner in self.runners:
            runner.start()

    async def close(self) -> None:
        await asyncio.to_thread(self.observers.close, _OBSERVERS_SECONDS)
        await asyncio.gather(self.hook_workers.close(), *(runner.close() for runner in self.runners))


def _load_sinks(config: Config, clock: Callable[[], float], backoff: Backoff) -> _Sinks:
    """Third-party plugins get a process each, unless `isolate` is off."""
    uses = {sink.use for sink in config.sinks if sink.enabled}
    isolated = {name for name in uses.union(config.plugins) if third_party(name)} if config.isolate else set()
    loaded = load(sorted(uses - isolated), plugins=[name for name in config.plugins if name not in isolated])
    for plugin in loaded.broken.keys() & config.plugins:
        broken = loaded.broken[plugin]
        _log.error("plugin is broken", plugin=plugin, reason=broken.reason, details=broken.details)
    observers = Observers(loaded.plugins)
    isolation = Isolation(
        config.data_dir,
        config.environment,
        config.plugins,
        config.plugin_load,
        config.plugin_silence,
        backoff,
        config.plugin_environment,
    )
    runners = make_sink_runners(config.sinks, loaded, config.data_dir, config.environment, clock, observers, isolation)
    hook_workers = HookWorkers(sorted(isolated.intersection(config.plugins) - uses), isolation)
    # Observers call the hooks of isolated plugins as they call those in this process.
    isolated_sinks = [runner.sink for runner in runners if isinstance(runner.sink, IsolatedSink)]
    loaded.plugins.extend([*sink_plugins(isolated_sinks), *hook_workers.plugins])
    return _Sinks(runners, observers, hook_workers, backoff)
