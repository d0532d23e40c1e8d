"""Looks whether parts of the store are damaged, and fills it again from the log as far as that reaches."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from headgate.v1 import delivery_pb2
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import ResponseError

from headgate_service.control_db.database import ControlDb
from headgate_service.counters.saved import SavedCounters
from headgate_service.directory.project import Project
from headgate_service.errors import (
    ControlDbUnavailable,
    DirectoryUnavailable,
    RedisUnavailable,
    ReplayUnknown,
    StoreFailed,
)
from headgate_service.model.sink import SinkSpec
from headgate_service.projects.store_check import ProjectCheck, StoreCheck
from headgate_service.projects.usage import Usages
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.replays import Replays
from headgate_service.store.client import Store
from headgate_service.store.damage import Damage, DamagedPart

FIRST_SECONDS, SECONDS = 2.0, 60.0
_END_OF_TIME_MS = 1 << 52
_HOURS_SAID = 24

_log = structlog.get_logger(__name__)


class StoreWatchMetrics:
    """What a service measures of the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.damaged = Gauge(
            "headgate_store_damaged_parts",
            "Parts of the store that the engine set aside and that are not settled.",
            registry=registry,
        )
        self.missing = Gauge(
            "headgate_store_missing_events",
            "Events that the store lacks, by the last check, and that the log cannot bring back.",
            registry=registry,
        )


@dataclass(slots=True)
class StoreState:
    """What the last look found. `replay`: the id of the one that fills the store again. `missing` is counted once that
    has ended."""

    parts: Sequence[DamagedPart] = ()
    replay: str = ""
    missing: int = 0
    checks: Sequence[ProjectCheck] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.parts


class StoreWatch:
    """`rule` is that of the store's sink, and `projects` gives those that there are. Any number of services may look at
    once: the store leaves out what it holds."""

    def __init__(
        self,
        damage: Damage,
        check: StoreCheck,
        replays: Replays,
        rule: SinkSpec,
        projects: Callable[[], Sequence[Project]],
        now_ms: Callable[[], int],
        metrics: StoreWatchMetrics,
    ) -> None:
        self.state = StoreState()
        self._damage = damage
        self._check = check
        self._replays = replays
        self._rule = rule
        self._projects = projects
        self._now_ms = now_ms
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled."""
        failed, told = FIRST_SECONDS, ""
        while True:
            try:
                await self.look()
                pause = FIRST_SECONDS if self.state.parts and not self.state.checks else SECONDS
                failed, told = FIRST_SECONDS, ""
            except (StoreFailed, RedisUnavailable, ResponseError, ControlDbUnavailable, DirectoryUnavailable) as error:
                if str(error) != told:
                    _log.warning("the store could not be looked at for damage", error=str(error))
                pause, told = failed, str(error)
                failed = min(failed * 2, SECONDS)
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Once. Raises StoreFailed, RedisUnavailable, ResponseError, ControlDbUnavailable, DirectoryUnavailable."""
        parts = await self._damage.parts()
        if new := [part for part in parts if part not in self.state.parts]:
            for part in new:
                _log.error(
                    "a part of the store is damaged: its rows are missing from answers",
                    part=part.name,
                    reason=part.reason,
                    month=part.month,
                )
            self.state = StoreState(parts, await self._replay(parts))
        self.state.parts = parts
        self._metrics.damaged.set(len(parts))
        if not parts:
            self.state = StoreState()
            self._metrics.missing.set(0)
        elif await self._filled():
            await self._judge()

    async def damaged(self) -> list[DamagedPart]:
        """The parts that are damaged now. Raises StoreFailed."""
        return await self._damage.parts()

    async def accept(self) -> int:
        """Gives up what is missing; how many damaged parts that settles. Raises StoreFailed."""
        parts = await self._damage.parts()
        if parts:
            await self._damage.settle(parts)
            _log.warning("what the damaged parts held is given up", parts=[part.name for part in parts])
        self.state = StoreState()
        self._metrics.damaged.set(0)
        self._metrics.missing.set(0)
        return len(parts)

    async def check(self, projects: Sequence[Project]) -> list[ProjectCheck]:
        return await self._check.run(projects, self._now_ms())

    async def _replay(self, parts: Sequence[DamagedPart]) -> str:
        served = [one for one in self._projects() if self._rule.serves(one.id, one.slug)]
        ranges = await self._replays.ranges(served, min(part.from_ms for part in parts), _END_OF_TIME_MS)
        view = await self._replays.start(self._rule.name, ranges, 0, "")
        _log.warning("the store is filled again from the log", replay=view.stored.id, events=view.selected)
        return view.stored.id

    async def _filled(self) -> bool:
        try:
            stored = await self._replays.stored(self.state.replay)
        except ReplayUnknown:
            return True
        return stored.end != delivery_pb2.StoredReplay.END_UNSPECIFIED

    async def _judge(self) -> None:
        checks = [one for one in await self.check(self._projects()) if one.missing]
        missing = sum(one.missing for one in checks)
        self._metrics.missing.set(missing)
        if not checks:
            await self._damage.settle(self.state.parts)
            _log.info("the store holds all again", parts=[part.name for part in self.state.parts])
            self.state = StoreState()
            self._metrics.damaged.set(0)
            return
        if checks != self.state.checks:
            for one in checks:
                _log.error(
                    "events are missing from the store, and are not in the log any more",
                    project=one.project.slug,
                    missing=one.missing,
                    hours=[hour.hour for hour in one.hours[:_HOURS_SAID]],
                    then="put a backup back, or accept it: headgate store check --accept",
                )
        self.state.checks, self.state.missing = checks, missing


def watch_of(
    rules: Sequence[SinkSpec],
    redis: RedisPipeline,
    database: ControlDb,
    store: Store,
    projects: Callable[[], Sequence[Project]],
    registry: CollectorRegistry,
) -> StoreWatch | None:
    """None where no sink fills the store."""
    rule = next((one for one in rules if one.use == "store" and one.enabled), None)
    if rule is None:
        return None
    return StoreWatch(
        Damage(store),
        StoreCheck(redis, Usages(redis, SavedCounters(database)), store, rule),
        Replays(redis, partial(secrets.token_hex, 4)),
        rule,
        projects,
        lambda: time.time_ns() // 1_000_000,
        StoreWatchMetrics(registry),
    )
