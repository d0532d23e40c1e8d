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
from headgate_sinks.host import load, third_party
from prometheus_client import CollectorRegistry, start_http_server
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from headgate_service.delivery.audit import Audit
from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.census import Census
from headgate_service.delivery.config import Config
from headgate_service.delivery.deployed_run import Station
from headgate_service.delivery.deployed_sink import DeployedSink
from headgate_service.delivery.deployed_sinks import DeployedSinks, NoDeployedSinks, SinkChangesSource
from headgate_service.delivery.errands import Errands
from headgate_service.delivery.expiring_lane import ExpiringLane
from headgate_service.delivery.forwarder import Forwarder
from headgate_service.delivery.harvest import EventCache
from headgate_service.delivery.lane import Lane, LaneRules
from headgate_service.delivery.late_lane import LateLane
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.metrics import DeliveryMetrics
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.outlet import Outlet, make_deployed_outlet, make_outlets
from headgate_service.delivery.outlets import Outlets
from headgate_service.delivery.plugin_worker.isolated_sink import IsolatedSink
from headgate_service.delivery.plugin_worker.remote_plugin import HookWorkers, sink_plugins
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation
from headgate_service.delivery.replay import ReplayLog, ReplayMetrics, ReplayOutlet
from headgate_service.delivery.retry_lane import RetryLane
from headgate_service.delivery.retry_queue import RetryQueue
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.shard_log import ProjectLog, ShardLog
from headgate_service.delivery.status import StatusBoard
from headgate_service.delivery.tenant_resolver import TenantResolvers
from headgate_service.delivery.trimmer import Trimmer
from headgate_service.delivery.wakeup import Wakeup
from headgate_service.delivery_control.ledger import Ledger
from headgate_service.garbage import spare_collections
from headgate_service.log.redis_pipeline import RedisPipeline

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
    configured = make_outlets(config.sinks, loaded, config.data_dir, config.environment, clock, observers, isolation)
    # Those of strangers are told and asked as our own are, wherever they run.
    hook_workers = HookWorkers(sorted(strangers.intersection(config.plugins) - uses), isolation)
    isolated = [outlet.sink for outlet in configured if isinstance(outlet.sink, IsolatedSink)]
    loaded.plugins.extend([*sink_plugins(isolated), *hook_workers.plugins])
    metrics = DeliveryMetrics(registry, clock)
    measured = {outlet.name: metrics.of(outlet) for outlet in configured}
    outlets = Outlets(configured)
    cache = EventCache()
    resolvers = TenantResolvers()
    census = Census(log, config.scan)
    rules = LaneRules(
        backoff=backoff,
        config_version=config.config_version,
        scan=config.scan,
        pause=config.pause,
        expire_check=config.expire_check,
        backlog_bytes=config.backlog_bytes,
        dead_letters=config.dead_letters,
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
            lambda: config.keep_bytes // census.projects,
            on_step,
        )

        def make(kind: type[_Lane], outlet: Outlet) -> _Lane:
            return kind(outlet, shard_log, epoch, rules, cache, measured[outlet.name], clock, on_step, trimmer.moved)

        def make_lane(outlet: Outlet) -> Lane | LateLane:
            if outlet.broken:
                return make(ExpiringLane, outlet)
            if outlet.known.is_set():
                return make(Lane, outlet)
            kinds = functools.partial(make, Lane, outlet), functools.partial(make, ExpiringLane, outlet)
            return LateLane(outlet.known, *kinds)

        lanes = [make_lane(outlet) for outlet in configured]
        retry_lanes = [
            RetryLane(
                *(outlet, RetryQueue(log, lease, outlet.name), epoch, rules, measured[outlet.name], clock, on_step)
            )
            for outlet in configured
            if not outlet.broken
        ]

        def make_station(sink: DeployedSink) -> Station:
            outlet = make_deployed_outlet(sink, config.data_dir, clock, observers, resolvers)
            outlet.hold(outlet.name in errands.paused)
            outlets.add(sink.project_id, outlet)

            async def close() -> None:
                outlets.remove(sink.project_id, outlet)
                for replay_id in [one for one, made in replay_outlets.items() if made.sink is outlet.sink]:
                    del replay_outlets[replay_id]
                await outlet.close()

            own_rules = dataclasses.replace(rules, config_version=sink.version)
            own_metrics = metrics.of_deployed(outlet, lambda: outlets.deployed)
            own_log = ProjectLog(log, lease, sink.project_id)
            kind = ExpiringLane if outlet.broken else Lane
            lane = kind(outlet, own_log, epoch, own_rules, cache, own_metrics, clock, on_step, trimmer.moved)
            if outlet.broken:
                return Station(close, [lane])
            queue = RetryQueue(log, lease, outlet.name)
            return Station(
                close,
                [lane],
                [RetryLane(outlet, queue, epoch, own_rules, own_metrics, clock, on_step)],
            )

        def make_replay(stored: StoredReplay) -> Lane | None:
            outlet = replay_outlet(stored)
            if outlet is None:
                return None
            replayed = ReplayLog(log, lease, stored)
            own_epoch = f"{epoch}-{stored.id}"
            return Lane(outlet, replayed, own_epoch, rules, cache, ReplayMetrics(), clock, on_step, trimmer.moved)

        return Shard(lease, shard_log, lanes, retry_lanes, trimmer, make_replay, make_station)

    replay_outlets: dict[str, ReplayOutlet] = {}

    def replay_outlet(stored: StoredReplay) -> ReplayOutlet | None:
        """One for all shards, whose rate is theirs together; None: its sink is not here, or not known yet."""
        if stored.id not in replay_outlets:
            outlet = outlets.named(stored.sink)
            if outlet is not None and not outlet.broken and outlet.known.is_set():
                replay_outlets[stored.id] = ReplayOutlet(outlet, stored, clock)
        return replay_outlets.get(stored.id)

    def readers_of(project_id: str) -> list[str]:
        sinks = [sink.name if sink.enabled else f"~{sink.name}" for sink in config.sinks if sink.serves(project_id)]
        return [*sinks, *deployed.readers(project_id), *errands.replays_of(project_id)]

    owner = config.owner or os.urandom(8).hex()
    forwarder = Forwarder(log, owner, config.lease, make_shard, on_step)
    wakeup = Wakeup(news, forwarder.shards, config.ready_poll, forwarder.lose)
    errands = Errands(log, outlets, forwarder.shards, clock)
    audit = Audit(Ledger(log), outlets, forwarder.shards, metrics, config.scan, config.backlog_bytes)
    deployed = DeployedSinks(source or NoDeployedSinks(), forwarder.shards)
    board = StatusBoard(log, outlets)
    metrics_server = None
    if config.metrics_port is not None:
        metrics_server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
    showing = asyncio.create_task(board.run())
    running = [
        showing,
        *(asyncio.create_task(part.run()) for part in (census, forwarder, wakeup, errands, audit, deployed)),
    ]
    try:
        hook_workers.start()
        for outlet in configured:
            outlet.start()
        spare_collections()
        _log.info("forwarder runs", sinks=[outlet.name for outlet in configured], owner=owner)
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
        await asyncio.gather(hook_workers.close(), *(outlet.close() for outlet in configured))
        if metrics_server is not None:
            metrics_server.shutdown()
        resolvers.close()
        await news.aclose()
        await log.close()
    _log.info("forwarder stopped")
