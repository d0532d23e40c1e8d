"""A configured sink as the forwarder runs it: one object for all shards, behind which a plugin may do what it likes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import structlog
from headgate_sinks import Batch, Limits, Misconfigured, Outcome, Place, Result, Retry, Sink, TooLarge, running
from headgate_sinks.host import Broken, Loaded
from pydantic import ValidationError

from headgate_service.delivery.config import SinkConfig
from headgate_service.delivery.observers import Observers

_LONGEST_ERROR = 300
_OPEN_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

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


class Outlet:
    """Writes through a sink, at most so many batches at once, and turns whatever happens into an outcome.

    `kind` is the sink's class and its checked config, or why there is none.
    """

    def __init__(
        self,
        config: SinkConfig,
        kind: Sink[Any] | Broken,
        clock: Callable[[], float],
        observers: Observers | None = None,
    ) -> None:
        self.config = config
        self._clock = clock
        self.observers = observers or Observers()
        self._troubles: dict[int, tuple[State, str]] = {}
        self._sink = None if isinstance(kind, Broken) else kind
        if isinstance(kind, Broken):
            self.status = Status(State.BROKEN, kind.reason, clock())
            _log.error("sink is broken", sink=config.name, reason=kind.reason, details=kind.details)
            self.observers.sink_state_changed(sink=config.name, state=State.BROKEN.name, previous="", error=kind.reason)
        else:
            self.status = Status(State.RUNNING, "", clock())
        spec = self._sink.spec if self._sink is not None else None
        self._write_seconds = spec.write_seconds if spec else 0.0
        self._slots = asyncio.Semaphore(spec.concurrency if spec else 1)
        self._opening = asyncio.Lock()
        self._opened = False
        self.limits = self._sink.limits if self._sink is not None else Limits()
        self.expires = (config.when_full or (spec.when_full if spec else "refuse")) == "expire"

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def broken(self) -> bool:
        return self._sink is None

    async def write(self, batch: Batch) -> Outcome:
        """Never raises but when cancelled."""
        if self._sink is None:
            return Misconfigured(self.status.last_error)
        async with self._slots:
            outcome = await self._outcome(self._open(self._sink), _OPEN_SECONDS)
            if outcome is None:
                outcome = await self._outcome(self._sink.write(batch), self._write_seconds)
        return _checked(outcome, len(batch.events))

    async def close(self) -> None:
        if self._opened and self._sink is not None:
            await self._outcome(self._sink.close(), _CLOSE_SECONDS)

    def note(self, shard: int, state: State, error: str = "") -> None:
        """Takes down how the sink fares in a shard; RUNNING clears what was noted before."""
        if self._sink is None:
            return
        if state is State.RUNNING:
            self._troubles.pop(shard, None)
        else:
            self._troubles[shard] = (state, error[:_LONGEST_ERROR])
        worst, last_error = max(self._troubles.values(), default=(State.RUNNING, ""))
        if worst is not self.status.state:
            _log.info("sink changed its state", sink=self.name, state=worst.name, error=last_error)
            self.observers.sink_state_changed(
                sink=self.name, state=worst.name, previous=self.status.state.name, error=last_error
            )
            self.status = Status(worst, last_error or self.status.last_error, self._clock())
        elif last_error and last_error != self.status.last_error:
            self.status = Status(worst, last_error, self.status.since)

    async def _open(self, sink: Sink[Any]) -> None:
        async with self._opening:
            if not self._opened:
                await sink.open()
                self._opened = True

    async def _outcome(self, call: Any, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await call
        except (Retry, Misconfigured, TooLarge) as outcome:
            return outcome
        except TimeoutError:
            return Retry(f"the sink did not finish within {seconds:g} s")
        # A plugin's code runs here and may raise anything: whatever it is, the batch comes again.
        except Exception as error:  # noqa: BLE001
            return Retry(f"{type(error).__name__}: {error}"[:_LONGEST_ERROR])


def _checked(outcome: Any, events: int) -> Outcome:
    match outcome:
        case Retry(events=places) if places is not None and not all(0 <= place < events for place in places):
            return Misconfigured("the sink's plugin retries events that are not in the batch: correct the plugin")
        case Retry() | Misconfigured() | TooLarge():
            return outcome
        case Result(rejected=rejected):
            if all(0 <= index < events for reject in rejected for index in reject.events):
                return outcome
            return Misconfigured("the sink's plugin rejected events that are not in the batch: correct the plugin")
        case _:
            return Misconfigured(f"the sink's plugin returned {type(outcome).__name__}, no outcome: correct the plugin")


def make_outlets(
    sinks: Sequence[SinkConfig],
    loaded: Loaded,
    data_dir: Path,
    environment: Mapping[str, str],
    clock: Callable[[], float],
    observers: Observers | None = None,
) -> list[Outlet]:
    """An outlet for each sink that is enabled."""

    def place(name: str) -> Place:
        return Place(name, data_dir, clock, environment, loaded.resolve_secret)

    return [
        Outlet(config, _make_sink(config, loaded, place(config.name)), clock, observers)
        for config in sinks
        if config.enabled
    ]


def _make_sink(config: SinkConfig, loaded: Loaded, place: Place) -> Sink[Any] | Broken:
    if config.use in loaded.broken:
        return loaded.broken[config.use]
    kind = loaded.sinks[config.use]
    try:
        return running(kind(kind.Config.model_validate(dict(config.settings)), place))
    except ValidationError as error:
        # What was given may be a secret: only the names of the fields are shown.
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_context=False, include_url=False)
        )
        return Broken(config.use, f"`config` of the sink {config.name!r} is wrong: {faults}")
    # A plugin's constructor runs here and may raise anything: it must not keep the other sinks from starting.
    except Exception as error:  # noqa: BLE001
        return Broken(config.use, f"the sink {config.name!r} cannot be made: {type(error).__name__}: {error}")
