"""What a case works with: one target, the sink in one life after another, and batches as the forwarder makes them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headgate.v1 import event_pb2

from headgate_sinks.conformance.fault import Fault
from headgate_sinks.conformance.loop_watch import LoopBlocked, watched
from headgate_sinks.conformance.target import Target
from headgate_sinks.sdk.sink import (
    AnySink,
    Batch,
    Misconfigured,
    Outcome,
    Place,
    Reject,
    Repeats,
    Result,
    Retry,
    Sink,
    TooLarge,
    running,
)

_ATTEMPTS = 50
_MENDING_LOOKS = 50
_MENDING_SECONDS = 0.2
_SEALED_MS = 1_795_262_400_123  # 2026-11-21T12:00:00.123Z


@dataclass(slots=True)
class Delivered:
    """What became of events, by their ids."""

    written: list[str] = field(default_factory=list)
    rejected: dict[str, Reject] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)


class Workbench:
    """Calls the sink as the forwarder does: what it raises becomes an outcome. Everything that was said is kept in
    `said`, as a log would show it."""

    def __init__(
        self,
        kind: type[AnySink],
        target: Target,
        config: Mapping[str, Any],
        data_dir: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.kind = kind
        self.target = target
        self.place = Place("conformance", data_dir, time.time, environment)
        self.config = kind.Config.model_validate(dict(config))
        self.said: list[str] = []
        self._epoch = os.urandom(8).hex()
        self._numbers: dict[int, int] = {}
        self._opened: list[Sink[Any]] = []
        self._sink: Sink[Any] | None = None

    def new_life(self) -> Sink[Any]:
        """A sink that knows nothing of those before it, as after a restart of the forwarder."""
        self._sink = running(self.kind(self.config, self.place))
        self.said.append(repr(self._sink))
        return self._sink

    def event(self, **fields: Any) -> event_pb2.Event:
        event = event_pb2.Event(
            event_id=f"ev_{os.urandom(12).hex()}",
            name="conformance",
            project_id="conformance",
            distinct_id="somebody",
            dialect=event_pb2.DIALECT_GRPC,
            sample_weight=1.0,
            properties_json=b'{"n":1}',
        )
        event.occur_time.FromMilliseconds(_SEALED_MS - 2000)
        event.receive_time.FromMilliseconds(_SEALED_MS - 1000)
        event.MergeFrom(event_pb2.Event(**fields))
        return event

    def events(self, count: int) -> list[event_pb2.Event]:
        return [self.event() for _ in range(count)]

    def batch(self, events: Sequence[event_pb2.Event], shard: int = 0) -> Batch:
        number = self._numbers[shard] = self._numbers.get(shard, 0) + 1
        batch_id = f"{self._epoch}-conformance-s{shard:02d}-{number:06d}"
        return Batch(batch_id, self._epoch, shard, number, _SEALED_MS + number, list(events))

    async def write(self, batch: Batch) -> Outcome:
        """One write, of a sink that is opened where it was not."""
        try:
            with watched():
                sink = self._sink or self.new_life()
                if sink not in self._opened:
                    await sink.open()
                    self._opened.append(sink)
                outcome = await sink.write(batch)
        except (Retry, Misconfigured, TooLarge) as raised:
            outcome = raised
        except (LoopBlocked, AssertionError):
            raise
        # As the forwarder does.
        except Exception as error:  # noqa: BLE001
            outcome = Retry(f"{type(error).__name__}: {error}")
        assert isinstance(outcome, Result | Retry | Misconfigured | TooLarge), f"`write` returned {outcome!r}"
        self.said.append(f"{outcome!r} {outcome}")
        return outcome

    async def deliver(self, batch: Batch, on_retry: Callable[[], Awaitable[None]] | None = None) -> Delivered:
        """Until every event is written or rejected, as the forwarder would, but without its pauses. `on_retry` is
        awaited after the first Retry."""
        delivered = Delivered()
        waiting = [batch]
        for _ in range(_ATTEMPTS):
            if not waiting:
                return delivered
            batch = waiting.pop(0)
            outcome = await self.write(batch)
            delivered.outcomes.append(outcome)
            if isinstance(outcome, Retry) and on_retry is not None:
                await on_retry()
                on_retry = None
            ids = [event.event_id for event in batch.events]
            match outcome:
                case Result(rejected=rejected):
                    reasons = {ids[place]: reject for reject in reversed(rejected) for place in reject.events}
                    delivered.rejected.update(reasons)
                    delivered.written += [one for one in ids if one not in reasons]
                case TooLarge(message=message) if len(ids) == 1:
                    delivered.rejected[ids[0]] = Reject((0,), "too_large", message)
                case TooLarge():
                    half = len(ids) // 2
                    parts = (batch.events[:half], batch.events[half:])
                    waiting = [*(self.batch(part, batch.shard) for part in parts), *waiting]
                case Retry(events=places) if places is not None:
                    delivered.written += [one for place, one in enumerate(ids) if place not in places]
                    again = [batch.events[place] for place in places]
                    waiting.insert(0, self.batch(again, batch.shard))
                case Retry():
                    waiting.insert(0, replace(batch, attempt=batch.attempt + 1))
                    await asyncio.sleep(0.02)
                case Misconfigured(message=message):
                    raise AssertionError(f"a person would be asked to mend something: {message}")
        raise AssertionError(f"not delivered after {_ATTEMPTS} writes; the last outcome: {outcome!r}")

    async def mended(self, batch: Batch) -> Outcome:
        """What a write comes to once what a person mended holds: with some targets that takes a moment."""
        for _ in range(_MENDING_LOOKS):
            outcome = await self.write(batch)
            if not isinstance(outcome, Misconfigured):
                break
            await asyncio.sleep(_MENDING_SECONDS)
        return outcome

    async def arm(self, fault: Fault | None) -> None:
        await self.target.arm(fault)

    async def held(self, events: Sequence[event_pb2.Event]) -> dict[str, list[Mapping[str, Any]]]:
        """What the target holds of each of these events, by id."""
        found: dict[str, list[Mapping[str, Any]]] = {event.event_id: [] for event in events}
        for one in await self.target.received():
            if one.get("eventId") in found:
                found[one["eventId"]].append(one)
        return found

    async def counts(self, events: Sequence[event_pb2.Event]) -> list[int]:
        """How often the target holds each of these events."""
        return [len(copies) for copies in (await self.held(events)).values()]

    @property
    def once(self) -> bool:
        """Whether a repeated batch may be there but once."""
        return self.kind.spec.repeats is not Repeats.NONE

    async def close(self) -> None:
        for sink in self._opened:
            await sink.close()
