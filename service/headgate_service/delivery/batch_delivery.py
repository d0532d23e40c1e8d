"""What is promised to one sink in one shard: written until it is settled, divided, held back or given up."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import structlog
from headgate_sinks import Misconfigured, Outcome, Reject, Result, Retry, TooLarge

from headgate_service.delivery.attempt import Crashed
from headgate_service.delivery.batch_reader import BatchReader
from headgate_service.delivery.dead_letter_bounds import DeadLetterBound
from headgate_service.delivery.holds import ProjectHolds
from headgate_service.delivery.lane_context import LaneContext
from headgate_service.delivery.log_range import halves, without
from headgate_service.delivery.metrics import SinkMetrics
from headgate_service.delivery.recent_settlements import Settled
from headgate_service.delivery.safeguards import MAX_GIVEN_UP, PLUGIN_CRASHED, RejectionGuards, Verdict
from headgate_service.delivery.sealed_batches import SealedBatch, SealedBatches
from headgate_service.delivery.settlement import (
    BACKLOG_EXPIRED,
    LOG_LOST,
    Attempts,
    GivenUp,
    ProjectSettlement,
    given_up,
    of_held_back,
    of_result,
    of_retry,
)
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.delivery.sink_runner import SinkRunner, State
from headgate_service.delivery.trimmer import Expiry
from headgate_service.log.position import Position

_log = structlog.get_logger(__name__)


class BatchDelivery(ABC):
    """The half of a lane that writes. It reads nothing of the log but what is promised or expires."""

    def __init__(
        self,
        runner: SinkRunner,
        log: ShardLog,
        epoch: str,
        context: LaneContext,
        metrics: SinkMetrics,
        on_settled: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._runner = runner
        self._sink = runner.name
        self._log = log
        self._context = context
        route = runner.config.route
        self._batch_reader = BatchReader(log, runner.limits, context.cache, route)
        self._expiry = Expiry(log, context.cache, route, context.backlog_bytes)
        self._metrics = metrics
        self._on_settled = on_settled
        self._sealed_batches = SealedBatches(
            *(log, runner.name, epoch, context.cache),
            config_version=context.config_version,
            spec_hash=runner.config.spec_hash(),
            fields=runner.config.fields,
            letters=DeadLetterBound(runner.name, context.letter_bytes, metrics.letters_unkept),
            on_step=context.on_step,
        )

        self._recent = context.recent.of(epoch, runner.name, log.shard)
        self._rejections = RejectionGuards()
        self._holds = ProjectHolds()
        self._positions: dict[str, Position] = {}
        self._news: dict[str, None] = {}
        self._news_since: float | None = None
        self._more = False
        self._next_scan = 0.0
        self._next_expiry = 0.0
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()

    @abstractmethod
    def mark(self, project_id: str) -> None:
        """A project has new entries in the log."""

    async def _deliver(self) -> None:
        """Writes what is promised, the oldest first, until all of it is settled but for what waits."""
        while not self._stopping.is_set():
            self._release()
            promised = self._sealed_batches.next(self._holds)
            if promised is None:
                return
            if promised.parked or self._sealed_batches.to_park(self._holds):
                await self._replace(self._sealed_batches, [])
                continue
            if promised.lost:
                await self._give_up_lost(promised)
                continue
            if hold := self._runner.hold_seconds:
                await self._pause(hold)
                continue
            outcome = await self._write(promised)
            self._context.on_step("write")
            match outcome:
                case Result() if self._is_to_be_halved(promised, outcome):
                    await self._halve(promised)
                case Result():
                    await self._take(promised, outcome)
                case TooLarge(message=message) if len(promised.events) == 1:
                    await self._settle(promised, Result((Reject((0,), "too_large", message),)))
                case TooLarge():
                    await self._halve(promised)
                case Misconfigured(message=message):
                    tries = f" (tried again in {self._context.pause:g} s)"
                    self._runner.note(self._log.shard, State.PAUSED, message, tries)
                    await self._pause(self._context.pause)
                case Crashed():
                    await self._judge(promised, outcome)
                case Retry(message=message, after=after, events=places):
                    self._metrics.retried()
                    seconds = self._note_retry(promised, message, after)
                    if places is not None and len(places) < len(promised.events):
                        promised = await self._keep_only(promised, places)
                    await self._pause(seconds)

    async def _write(self, promised: SealedBatch) -> Outcome:
        promised.attempts += 1
        promised.first_ms = promised.first_ms or self._now_ms()
        batch = self._sealed_batches.batch(promised)
        self._metrics.oldest(self._log.shard, batch.events[0].receive_time.ToMilliseconds())
        return await self._runner.write(batch, alone=promised.crashes is not None)

    async def _judge(self, promised: SealedBatch, crashed: Crashed) -> None:
        """After the sink's process crashed with a batch."""
        self._metrics.retried()
        # The first time it may have been with any of those that it wrote.
        promised.crashes = 0 if promised.crashes is None else promised.crashes + 1
        verdict = self._runner.crashes.judge(
            *(len(promised.events), promised.crashes, promised.suspect, self._runner.config.pause_rejecting)
        )
        match verdict:
            case Verdict.HALVE:
                for half in await self._halve(promised):
                    half.crashes, half.suspect = 0, True
            case Verdict.GIVE_UP:
                await self._settle(promised, Result((Reject((0,), PLUGIN_CRASHED, crashed.message),)))
                return
            case Verdict.PAUSE:
                message = f"it crashes with each of {MAX_GIVEN_UP} events in a row: {crashed.message}"
                self._runner.note(self._log.shard, State.PAUSED, message)
                await self._pause(self._context.pause)
                return
        await self._pause(self._note_retry(promised, crashed.message))

    def _note_retry(self, promised: SealedBatch, message: str, after: float | None = None) -> float:
        """Shows why a batch comes again. Returns in how many seconds."""
        seconds = self._context.backoff.seconds(promised.attempts, after)
        self._runner.told.retrying(message, promised.attempts, seconds)
        tries = f" (attempt {promised.attempts}, the next in {seconds:.1f} s)"
        self._runner.note(self._log.shard, State.RETRYING, message, tries)
        return seconds

    def _is_to_be_halved(self, promised: SealedBatch, result: Result) -> bool:
        """Where all of a batch was rejected by a target that does not say which events it means."""
        count = len(promised.events)
        rejected = {place for reject in result.rejected for place in reject.events}
        return not self._runner.per_event and 1 < count == len(rejected)

    async def _take(self, promised: SealedBatch, result: Result) -> None:
        """Settles a batch. Of a project of which the sink rejects most nothing is given up: it waits, and others go
        on."""
        excess: dict[str, str] = {}
        if self._runner.config.pause_rejecting:
            excess = self._rejections.too_many(promised.log_ranges, result)
        if excess:
            await self._hold_back(promised, result, excess)
        else:
            await self._settle(promised, result)
            self._rejections.add(promised.log_ranges, result)

    async def _hold_back(self, promised: SealedBatch, result: Result, excess: Mapping[str, str]) -> None:
        self._holds.add(excess, asyncio.get_running_loop().time() + self._context.pause)
        for project_id, error in excess.items():
            self._news.pop(project_id, None)
            self._runner.note_hold(self._log.shard, project_id, error)
        attempts = self._attempts(promised)
        settled, remaining = of_held_back(self._sink, promised.log_ranges, result, excess, attempts)
        batches = [promised.of([one]) for one in remaining]
        for one in self._sealed_batches:
            if one is not promised:
                parts = self._holds.divided(one.log_ranges)
                batches += [one] if len(parts) == 1 else map(one.of, parts)
        if len(batches) != len(self._sealed_batches) or settled:
            await self._replace(batches, settled)
            self._moved(settled)
        self._metrics.oldest(self._log.shard, None)

    def _release(self) -> None:
        for project_id in self._holds.release(asyncio.get_running_loop().time()):
            self.mark(project_id)

    async def _replace(self, batches: Iterable[SealedBatch], settled: Sequence[ProjectSettlement]) -> None:
        promised = list(batches)
        for one in promised:
            one.parked = self._holds.holds(one.log_ranges)
        self._recent.forget(one.project_id for one in settled)
        await self._sealed_batches.replace(promised, settled)

    async def _settle(self, promised: SealedBatch, result: Result) -> None:
        settled = of_result(self._sink, promised.log_ranges, result, self._attempts(promised))
        await self._record(settled, promised)
        self._runner.observers.batch_settled(
            sink=self._sink,
            batch_id=self._sealed_batches.id_of(promised),
            delivered=sum(one.delivered for one in settled),
            dead=sum(one.dead for one in settled),
            attempts=promised.attempts,
        )
        self._runner.note(self._log.shard, State.RUNNING)
        for one in promised.log_ranges:
            self._runner.note_hold(self._log.shard, one.project_id, None)
        self._metrics.oldest(self._log.shard, None)

    async def _give_up_lost(self, promised: SealedBatch) -> None:
        message = "the log no longer holds all events of a batch that was promised"
        _log.error(message, sink=self._sink, shard=self._log.shard, number=promised.number)
        settled = given_up(self._sink, promised.ranges, LOG_LOST, message, self._attempts(promised))
        await self._record(settled, promised)

    async def _give_up_gaps(self, gaps: dict[str, tuple[Position, Position]]) -> None:
        message = "the log holds these events no more: Redis lost them, or the sink was off, or not for this project"
        _log.warning(message, sink=self._sink, shard=self._log.shard, projects=len(gaps))
        now_ms = self._now_ms()
        lost = {project_id: GivenUp.whole(*ends) for project_id, ends in gaps.items()}
        await self._record(given_up(self._sink, lost, LOG_LOST, message, Attempts(0, now_ms, now_ms)))

    async def _halve(self, promised: SealedBatch) -> list[SealedBatch]:
        parts = [SealedBatch(0, 0, half) for half in halves(promised.log_ranges)]
        await self._put_in_place_of(promised, parts, [])
        return parts

    async def _keep_only(self, promised: SealedBatch, places: Sequence[int]) -> SealedBatch:
        """Settles what was written of a batch, and promises the rest as one of its own."""
        settled, remaining = of_retry(promised.log_ranges, places)
        rest = promised.of(remaining)
        await self._put_in_place_of(promised, [rest], settled)
        self._moved(settled)
        return rest

    async def _put_in_place_of(
        self, promised: SealedBatch, parts: Sequence[SealedBatch], settled: Sequence[ProjectSettlement]
    ) -> None:
        others = (parts if one is promised else [one] for one in self._sealed_batches)
        await self._replace(chain.from_iterable(others), settled)

    async def _record(self, settled: list[ProjectSettlement], gone: SealedBatch | None = None) -> None:
        if all(one.project_id in self._positions for one in settled):
            starts = {one.project_id: self._positions[one.project_id].seq for one in settled}
            number = None if gone is None else gone.number
            self._recent.add(Settled(starts, settled, number, asyncio.get_running_loop().time()))
        await self._sealed_batches.settle(settled, gone)
        self._moved(settled)

    def _moved(self, settled: list[ProjectSettlement]) -> None:
        self._runner.told.dead(settled)
        for one in settled:
            self._positions[one.project_id] = one.position
        self._metrics.settled(
            sum(one.delivered for one in settled),
            sum(one.dead for one in settled),
            sum(len(one.filtered) for one in settled),
            sum(one.route_errors for one in settled),
        )
        self._on_settled({one.project_id: one.position.bytes for one in settled})

    async def _pause(self, seconds: float) -> None:
        """Waits until the next attempt. What has waited too long expires meanwhile."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while (left := ends - loop.time()) > 0 and not self._stopping.is_set():
            await self._sleep(min(left, max(self._next_expiry - loop.time(), 0)))
            if loop.time() >= self._next_expiry:
                await self._expire()

    async def _expire(self) -> None:
        """Gives up the oldest events of projects whose backlog is over the bound, where the sink is one that may."""
        self._next_expiry = asyncio.get_running_loop().time() + self._context.expire_check
        projects = [one for one in self._positions if one in self._news or self._sealed_batches.hold(one)]
        uses = dict(zip(projects, await self._log.use(projects), strict=True))
        self._metrics.waiting(
            self._log.shard,
            sum(use.seq - self._positions[one].seq for one, use in uses.items()),
        )
        if not self._runner.expires:
            return
        promised = [log_range for one in self._sealed_batches for log_range in one.log_ranges]
        overdue = await self._expiry.overdue(self._positions, uses, promised)
        if not overdue:
            return
        oldest = next(iter(self._sealed_batches), None)
        attempts = self._attempts(oldest) if oldest else Attempts(0, self._now_ms(), self._now_ms())
        message = f"the project's backlog went over {self._context.backlog_bytes} bytes while the sink did not take it"
        settled = given_up(self._sink, overdue, BACKLOG_EXPIRED, message, attempts)
        expired = {project_id: one.end for project_id, one in overdue.items()}
        _log.warning("backlog expired", sink=self._sink, shard=self._log.shard, events=sum(one.dead for one in settled))
        if any(self._sealed_batches.hold(project_id) for project_id in expired):
            batches = [SealedBatch(0, 0, without(one.log_ranges, expired)) for one in self._sealed_batches]
            await self._replace([batch for batch in batches if batch.events], settled)
            self._moved(settled)
            for log_range in (log_range for batch in batches if not batch.events for log_range in batch.log_ranges):
                self.mark(log_range.project_id)
        else:
            await self._record(settled)

    def _attempts(self, promised: SealedBatch) -> Attempts:
        now_ms = self._now_ms()
        return Attempts(promised.attempts, promised.first_ms or now_ms, now_ms)

    def _now_ms(self) -> int:
        return int(self._context.clock() * 1000)

    async def _sleep(self, seconds: float) -> None:
        """Less where the lane is to stop."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                pass
