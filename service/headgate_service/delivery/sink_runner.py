"""A configured sink as the forwarder runs it: one object for all shards, behind which a plugin may do what it likes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import structlog
from headgate_sinks import Batch, Limits, Misconfigured, Outcome, Place, Result, WhenFull
from headgate_sinks.sdk.host import Broken, Loaded, load

from headgate_service.delivery.attempt import bounded, checked, cut, make_sink
from headgate_service.delivery.delivery_log import DeliveryLog
from headgate_service.delivery.in_process_sink import InProcessSink
from headgate_service.delivery.observers import Observers
from headgate_service.delivery.plugin_worker.isolated_sink import IsolatedSink
from headgate_service.delivery.plugin_worker.supervised_worker import Isolation
from headgate_service.delivery.project_sink import ProjectSink
from headgate_service.delivery.project_sink_network import ProjectSinkPlace, ProjectSinkResolvers
from headgate_service.delivery.safeguards import CrashGuard
from headgate_service.model.sink import SinkSpec


class WriteSlots:
    """As many as the sink declares; one that asks to be alone waits for all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        # Two that each hold some, and wait for those of the other, would wait for ever.
        self._gathering = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, alone: bool) -> AsyncIterator[None]:
        held = 0
        try:
            if alone:
                async with self._gathering:
                    while held < self._count:
                        await self._free.acquire()
                        held += 1
            else:
                await self._free.acquire()
                held = 1
            yield
        finally:
            for _ in range(held):
                self._free.release()


_HOLD_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class State(IntEnum):
    """How a sink fares; of several shards the worst counts."""

    RUNNING = 0
    RETRYING = 1
    PAUSED = 2
    BROKEN = 3


@dataclass(frozen=True, slots=True)
class Status:
    """A sink's state with the error behind it, since when (seconds since 1970)."""

    state: State
    last_error: str
    since: float
    # Of projects whose events alone wait, why; and how the sink fares with the others.
    held: Mapping[str, str] = field(default_factory=dict)
    others: State = State.RUNNING


class SinkRunner:
    """Writes through a sink, at most so many batches at once.

    `sink` is the sink, or why there is none; `when_full` is what its kind says, where that is known. One in a process
    of its own is known only when its plugin was loaded: `limits` are to be asked for once `known` is set.
    """

    def __init__(
        self,
        config: SinkSpec,
        sink: InProcessSink | IsolatedSink | Broken | None,
        clock: Callable[[], float],
        observers: Observers | None = None,
        when_full: WhenFull | None = None,
    ) -> None:
        self.config = config
        self._when_full = when_full
        self._clock = clock
        self.observers = observers or Observers()
        # By shard, with why, and when it is tried again.
        self._troubles: dict[int, tuple[State, str, str]] = {}
        # By shard and project.
        self._holds: dict[tuple[int, str], str] = {}
        self._sink = None if isinstance(sink, Broken) else sink
        self._slots: WriteSlots | None = None
        self._broken: Broken | None = None
        self._held = False
        # Thousands of projects' own sinks do not all begin in one moment.
        self._phase = crc32(config.name.encode()) / 1000
        self.crashes = CrashGuard()
        self.told = DeliveryLog(config.name)
        self.known = asyncio.Event() if self._sink is None else self._sink.known
        self.status = Status(State.RUNNING, "", clock())
        if isinstance(sink, Broken):
            self._note_broken(sink)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def broken(self) -> bool:
        """Whether it will never write. A sink that is broken in a process of its own may be mended while this runs."""
        return self._sink is None

    @property
    def limits(self) -> Limits:
        return Limits() if self._sink is None else self._sink.limits

    @property
    def expires(self) -> bool:
        """Whether a full backlog expires, rather than that events are refused. Of a sink that is being loaded and whose
        configuration leaves it open, nothing expires yet."""
        said = self._when_full if self._sink is None else self._sink.when_full
        if said is None and self._broken is not None:
            # A service takes the same for one that nobody knows.
            said = "expire"
        return (self.config.when_full or said) == "expire"

    @property
    def per_event(self) -> bool:
        """Whether what it rejects is meant of each event."""
        return self._sink is None or self._sink.spec.per_event

    @property
    def sink(self) -> InProcessSink | IsolatedSink | None:
        """None: it will never write."""
        return self._sink

    @property
    def hold_seconds(self) -> float:
        """0: there may be a write now; else look again after so many seconds."""
        return _HOLD_SECONDS if self._held else 0.0

    def hold(self, held: bool) -> None:
        """Whether an operator wants no writes now."""
        if held is not self._held:
            self._held = held
            self._show()

    def closes(self, since: float) -> float:
        """When a batch that began to gather at `since` is closed, by the loop's clock: within the sink's `age`, in a
        moment that all its shards have in common. So batches of many shards share what each would cost alone: flushes
        of disks, the sink's and Redis's, and turns of this process."""
        age = self.limits.age
        return since if age <= 0 else ((since - self._phase) // age + 1) * age + self._phase

    def start(self) -> None:
        """Must be called before anything is written."""
        if self._sink is not None:
            self._sink.start(self._note_broken)

    async def write(self, batch: Batch, alone: bool = False) -> Outcome:
        """Never raises but when cancelled. `alone`: while the sink writes nothing else."""
        if self._sink is None:
            return Misconfigured(self.status.last_error)
        if not self._sink.known.is_set():
            return checked(await self._sink.write(batch), len(batch.events))
        if self._slots is None:
            self._slots = WriteSlots(max(1, self._sink.spec.concurrency))
        async with self._slots.taken(alone):
            outcome = checked(await self._sink.write(batch), len(batch.events))
        if isinstance(outcome, Result):
            self.crashes.written()
        return outcome

    async def check(self) -> Outcome:
        """Never raises but when cancelled."""
        if self._sink is None:
            return Misconfigured(self.status.last_error)
        return checked(await self._sink.check(), 0)

    async def close(self) -> None:
        if self._sink is not None:
            await self._sink.close()

    def note(self, shard: int, state: State, error: str = "", tries: str = "") -> None:
        """Takes down how the sink fares in a shard, with the error and what to show after it. RUNNING clears what was
        noted before."""
        if state is State.RUNNING:
            self._troubles.pop(shard, None)
        else:
            self._troubles[shard] = (state, cut(error), tries)
        self._show()

    def note_hold(self, shard: int, project_id: str, error: str | None) -> None:
        """Takes down that a project's events wait, alone, and why; None: they do no more."""
        if error is not None:
            self._holds[shard, project_id] = cut(error)
        elif self._holds.pop((shard, project_id), None) is None:
            return
        self._show()

    def forget(self, shard: int) -> None:
        """The shard is someone else's now."""
        for key in [key for key in self._holds if key[0] == shard]:
            del self._holds[key]
        self.note(shard, State.RUNNING)

    def _note_broken(self, broken: Broken | None) -> None:
        """None: it is no more."""
        broken = bounded(broken) if broken is not None else None
        from_the_start = broken is not None and self._broken is None and not self.known.is_set()
        if broken is not None and broken != self._broken:
            _log.error("sink is broken", sink=self.name, reason=broken.reason, details=broken.details)
        self._broken = broken
        self._show("" if from_the_start else None)

    def _show(self, previous: str | None = None) -> None:
        worst, reason, tries = max(self._troubles.values(), default=(State.RUNNING, "", ""))
        others = worst
        if self._holds and worst < State.PAUSED:
            worst, reason, tries = State.PAUSED, next(reversed(self._holds.values())), ""
        if self._held and worst < State.PAUSED:
            worst, reason, tries = State.PAUSED, "paused by an operator", ""
        if self._broken is not None:
            worst, reason, tries = State.BROKEN, self._broken.reason, ""
        last_error = reason + tries
        held = {project_id: error for (_, project_id), error in self._holds.items()}
        others = others if held and not self._held and self._broken is None else worst
        if worst is not self.status.state:
            if worst is State.RUNNING:
                _log.info("sink runs again", sink=self.name, after=self.status.state.name)
            else:
                _log.warning("sink does not run as it should", sink=self.name, state=worst.name, error=last_error)
            self.observers.sink_state_changed(
                sink=self.name,
                state=worst.name,
                previous=self.status.state.name if previous is None else previous,
                error=reason,
            )
            self.status = Status(worst, last_error or self.status.last_error, self._clock(), held, others)
        elif held != self.status.held or others != self.status.others or last_error not in ("", self.status.last_error):
            error = last_error or self.status.last_error
            self.status = Status(worst, error, self.status.since, held, others)


def make_sink_runners(
    sinks: Sequence[SinkSpec],
    loaded: Loaded,
    data_dir: Path,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    observers: Observers | None = None,
    isolation: Isolation | None = None,
) -> list[SinkRunner]:
    """An outlet for each sink that is enabled: in this process where `loaded` knows its kind, else in its own."""

    def sink(config: SinkSpec) -> InProcessSink | IsolatedSink | Broken:
        if isolation is not None and config.use not in loaded.sinks and config.use not in loaded.broken:
            return IsolatedSink(config, isolation)
        place = Place(config.name, data_dir, clock, environment, loaded.resolve_secret)
        made = make_sink(config.use, config.settings, loaded, place)
        return made if isinstance(made, Broken) else InProcessSink(made)

    def when_full(config: SinkSpec) -> WhenFull | None:
        return loaded.sinks[config.use].spec.when_full if config.use in loaded.sinks else None

    return [SinkRunner(config, sink(config), clock, observers, when_full(config)) for config in sinks if config.enabled]


@lru_cache
def _loaded(use: str) -> Loaded:
    # To look for a plugin takes 10 ms, and thousands of sinks may begin at once.
    return load([use])


def make_project_sink_runner(
    sink: ProjectSink,
    data_dir: Path,
    clock: Callable[[], float],
    observers: Observers,
    resolvers: ProjectSinkResolvers,
) -> SinkRunner:
    """An outlet for a project's own sink, always in this process: its kind comes with Headgate."""
    config = sink.config
    if sink.fault:
        return SinkRunner(config, Broken(config.use, sink.fault), clock, observers)
    place = ProjectSinkPlace(config.name, data_dir, clock, resolver=resolvers.of(sink.project_id))
    made = make_sink(config.use, config.settings, _loaded(config.use), place)
    return SinkRunner(config, made if isinstance(made, Broken) else InProcessSink(made), clock, observers)
