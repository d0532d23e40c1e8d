"""The forwarder's composition root."""

import asyncio
import dataclasses
import functools
import os
import random
import signal
import time
from collections.abc import Callable
from typing import TypeVar

import redis.asyncio
import structlog
from headgate.v1.delivery_pb2 import StoredReplay
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
from headgate_service.delivery.idle_lanes import ExpiringLane, WaitingLane
from headgate_service.delivery.lane import Lane, LaneRules
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.plugin_worker.isolated_sink import IsolatedSink
from headgate_service.delivery.plugin_worker.remote_plugin import HookWorkers, sink_plugins
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation
from headgate_service.delivery.project_sink import ProjectSink
from headgate_service.delivery.project_sink_network import ProjectSinkResolvers
from headgate_service.delivery.project_sink_run import RunningSink
from headgate_service.delivery.project_sinks import NoProjectSinks, ProjectSinks, SinkChangesSource
from headgate_service.delivery.replay import ReplayLog, ReplayMetrics, ReplayRunner
from headgate_service.delivery.retry_lane import RetryLane, RetryQueue
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.shard_log import ProjectLog, ShardLog
from headgate_service.delivery.sink_runner import SinkRunner, make_project_sink_runner, make_sink_runners
from headgate_service.delivery.sink_runners import SinkRunners
from headgate_service.delivery.status import StatusBoard
from headgate_service.delivery.trimmer import Trimmer
from headgate_service.delivery.wakeup import Wakeup
from headgate_service.process import freeze_gc
from headgate_service.redis.pipeline import RedisPipeline

_OBSERVERS_SECONDS = 2.0
_Lane = TypeVar("_Lane", bound=Lane)

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
    """Delivers until SIGTERM or SIGINT, or until `stop` is set where that is given.

    `source` is where it learns of the sinks that projects deploy; None: there are none.
    `on_step` is called after each lease, read, seal, write, settle and trim with its name, for tests that end there.
    `clock` gives seconds since 1970, `chance` a number in [0, 1).
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if registry is None:
        registry = CollectorRegistry()

    log = RedisPipeline(config.redis_url, deadline=config.redis_deadline)
    news = redis.asyncio.Redis.from_url(
        config.redis_url,
        protocol=2,
        socket_timeout=config.redis_deadline,
        socket_connect_timeout=config.redis_deadline,
        retry=Retry(NoBackoff(), 0),
    )
    uses = {sink.use for sink in config.sinks if sink.enabled}
    strangers = {name for name in uses.union(config.plugins) if third_party(name)} if config.isolate else set()
    loaded = load(sorted(uses - strangers), plugins=[name for name in config.plugins if name not in strangers])
    for plugin in loaded.broken.keys() & config.plugins:
        broken = loaded.broken[plugin]
        _log.error("plugin is broken", plugin=plugin, reason=broken.reason, details=broken.details)
    observers = Observers(loaded.plugins)
    backoff = Backoff(config.backoff_first, config.backoff_longest, chance)
    isolation = Isolation(
        config.data_dir, config.environment, config.plugins, config.plugin_load, config.plugin_silence, backoff
    )
    configured = make_sink_runners(
        config.sinks, loaded, config.data_dir, config.environment, clock, observers, isolation
    )
    # Those of strangers are told and asked as our own are, wherever they run.
    hook_workers = HookWorkers(sorted(strangers.intersection(config.plugins) - uses), isolation)
    isolated = [runner.sink for runner in configured if isinstance(runner.sink, IsolatedSink)]
    loaded.plugins.extend([*sink_plugins(isolated), *hook_workers.plugins])
    metrics = DeliveryMetrics(registry, clock)
    measured = {runner.name: metrics.of(runner) for runner in configured}
    runners = SinkRunners(configured)
    cache = EventCache()
    resolvers = ProjectSinkResolvers()
    project_count = ProjectCount(log, config.scan)
    rules = LaneRules(
        backoff=backoff,
        config_version=config.config_version,
        scan=config.scan,
        pause=config.pause,
        expire_check=config.expire_check,
        backlog_bytes=config.backlog_bytes,
        letter_bytes=config.dead_letter_bytes,
    )

    async def make_shard(lease: Lease) -> Shard:
        shard_log = ShardLog(log, lease)
        epoch = lease.epoch
        board.holds(lease.shard, epoch)
        trimmer = Trimmer(
            shard_log,
            readers_of,
            config.trim,
            int(config.keep_seconds * 1000),
            lambda: config.keep_bytes // project_count.projects,
            on_step,
        )

        def make(kind: type[_Lane], runner: SinkRunner) -> _Lane:
            return kind(runner, shard_log, epoch, rules, cache, measured[runner.name], clock, on_step, trimmer.moved)

        def make_lane(runner: SinkRunner) -> Lane | WaitingLane:
            if runner.broken:
                return make(ExpiringLane, runner)
            if runner.known.is_set():
                return make(Lane, runner)
            kinds = functools.partial(make, Lane, runner), functools.partial(make, ExpiringLane, runner)
            return WaitingLane(runner.known, *kinds)

        lanes = [make_lane(runner) for runner in configured]
        retry_lanes = [
            RetryLane(
                *(runner, RetryQueue(log, lease, runner.name), epoch, rules, measured[runner.name], clock, on_step)
            )
            for runner in configured
            if not runner.broken
        ]

        def make_running_sink(sink: ProjectSink) -> RunningSink:
            runner = make_project_sink_runner(sink, config.data_dir, clock, observers, resolvers)
            runner.hold(runner.name in commands.paused)
            runners.add(sink.project_id, runner)

            async def close() -> None:
                runners.remove(sink.project_id, runner)
                for replay_id in [one for one, made in replay_runners.items() if made.sink is runner.sink]:
                    del replay_runners[replay_id]
                await runner.close()

            own_rules = dataclasses.replace(rules, config_version=sink.version)
            own_metrics = metrics.of_project_sink(runner, lambda: runners.deployed)
            own_log = ProjectLog(log, lease, sink.project_id)
            kind = ExpiringLane if runner.broken else Lane
            lane = kind(runner, own_log, epoch, own_rules, cache, own_metrics, clock, on_step, trimmer.moved)
            if runner.broken:
                return RunningSink(close, [lane])
            queue = RetryQueue(log, lease, runner.name)
            return RunningSink(
                close,
                [lane],
                [RetryLane(runner, queue, epoch, own_rules, own_metrics, clock, on_step)],
            )

        def make_replay(stored: StoredReplay) -> Lane | None:
            runner = replay_runner(stored)
            if runner is None:
                return None
            replayed = ReplayLog(log, lease, stored)
            own_epoch = f"{epoch}-{stored.id}"
            return Lane(runner, replayed, own_epoch, rules, cache, ReplayMetrics(), clock, on_step, trimmer.moved)

        return Shard(lease, shard_log, lanes, retry_lanes, trimmer, make_replay, make_running_sink)

    replay_runners: dict[str, ReplayRunner] = {}

    def replay_runner(stored: StoredReplay) -> ReplayRunner | None:
        """One for all shards, whose rate is theirs together; None: its sink is not here, or not known yet."""
        if stored.id not in replay_runners:
            runner = runners.named(stored.sink)
            if runner is not None and not runner.broken and runner.known.is_set():
                replay_runners[stored.id] = ReplayRunner(runner, stored, clock)
        return replay_runners.get(stored.id)

    def readers_of(project_id: str) -> list[str]:
        sinks = [sink.name if sink.enabled else f"~{sink.name}" for sink in config.sinks if sink.serves(project_id)]
        return [*sinks, *deployed.readers(project_id), *commands.replays_of(project_id)]

    owner = config.owner or os.urandom(8).hex()
    forwarder = Forwarder(log, owner, config.lease, make_shard, on_step)
    wakeup = Wakeup(news, forwarder.shards, config.ready_poll, forwarder.lose)
    commands = Commands(log, runners, forwarder.shards, clock)
    audit = Audit(Ledger(log), runners, forwarder.shards, metrics, config.scan, config.backlog_bytes)
    letters = DeadLetterTotal(log, forwarder.shards, config.dead_letter_total_bytes, metrics)
    deployed = ProjectSinks(source or NoProjectSinks(), forwarder.shards)
    board = StatusBoard(log, runners)
    metrics_server = None
    if config.metrics_port is not None:
        metrics_server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
    showing = asyncio.create_task(board.run())
    running = [
        showing,
        *(
            asyncio.create_task(part.run())
            for part in (project_count, forwarder, wakeup, commands, audit, deployed, letters)
        ),
    ]
    try:
        hook_workers.start()
        for runner in configured:
            runner.start()
        freeze_gc()
        _log.info("forwarder runs", sinks=[runner.name for runner in configured], owner=owner)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        # What is shown stays as it was: a sink that nobody runs any more is not well for it.
        showing.cancel()
        await forwarder.drain(config.drain)
        for task in done - {stopped}:
            await task
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(observers.close, _OBSERVERS_SECONDS)
        await asyncio.gather(hook_workers.close(), *(runner.close() for runner in configured))
        if metrics_server is not None:
            metrics_server.shutdown()
        resolvers.close()
        await news.aclose()
        await log.close()
    _log.info("forwarder stopped")
