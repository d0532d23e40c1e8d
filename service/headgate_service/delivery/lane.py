"""One sink in one shard: takes what is new, promises it, writes it until it is settled, and goes on.

Lanes share nothing but the process, so that none waits for another's target.
"""

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import structlog
from headgate_sinks import Misconfigured, Outcome, Reject, Result, Retry, TooLarge

from headgate_service.delivery.attempt import Crashed
from headgate_service.delivery.batch_reader import BatchReader
from headgate_service.delivery.dead_letter_bounds import DeadLetterBound
from headgate_service.delivery.lane_context import LaneContext
from headgate_service.delivery.log_range import events_of, halves, without
from headgate_service.delivery.metrics import SinkMetrics
from headgate_service.delivery.safeguards import MAX_GIVEN_UP, PLUGIN_CRASHED, Verdict
from headgate_service.delivery.sealed_batches import SealedBatch, SealedBatches
from headgate_service.delivery.settlement import (
    BACKLOG_EXPIRED,
    LOG_LOST,
    Attempts,
    GivenUp,
    ProjectSettlement,
    given_up,
    of_filtered,
    of_result,
    of_retry,
)
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.delivery.sink_runner import SinkRunner, State
from headgate_service.delivery.trimmer import Expiry
from headgate_service.errors import RedisUnavailable
from headgate_service.log.position import Position
from headgate_service.redis.script import Fenced, Stale

_log = structlog.get_logger(__name__)


class Lane:
    """Runs until `stop`, or raises Fenced. `on_settled` is told to how many payload bytes each project that moved is
    done."""

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

        self._positions: dict[str, Position] = {}
        self._news: dict[str, None] = {}
        self._news_since: float | None = None
        self._more = False
        self._next_scan = 0.0
        self._next_expiry = 0.0
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()

    def mark(self, project_id: str) -> None:
        """There is news of a project."""
        if self._runner.config.serves(project_id):
            self._news[project_id] = None
            if self._news_since is None:
                self._news_since = asyncio.get_running_loop().time()
            self._wake.set()

    def scan_soon(self) -> None:
        """News may have been missed."""
        self._next_scan = 0.0
        self._wake.set()

    def stop(self) -> None:
        """Ends the lane once the write under way, if any, is settled."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    await self._resume()
                    while not self._stopping.is_set():
                        await self._turn()
                        failures = 0
                except Stale:
                    failures += 1
                except RedisUnavailable as error:
                    failures += 1
                    _log.warning("lane waits for Redis", sink=self._sink, shard=self._log.shard, error=str(error))
                except Fenced:
                    raise
                # A fault of ours, or an entry that cannot be read, must not stop the other sinks of the shard: it is
                # shown, and what is promised and settled is read again from Redis.
                except Exception as error:  # noqa: BLE001
                    failures += 1
                    reason = f"the forwarder failed: {type(error).__name__}: {error}"
                    self._runner.note(self._log.shard, State.RETRYING, reason)
                    # As text: a renderer that shows local variables would show events.
                    details = traceback.format_exc()
                    _log.error("lane failed", sink=self._sink, shard=self._log.shard, details=details)
                if failures:
                    await self._sleep(self._context.backoff.seconds(failures))
        finally:
            self._runner.note(self._log.shard, State.RUNNING)
            self._metrics.forget(self._log.shard)

    async def _resume(self) -> None:
        """Takes up what is promised, and everything else from the cursors."""
        await self._load()
        self._more = True
        await self._deliver()

    async def _load(self) -> None:
        self._positions, self._news = {}, {}
        await self._sealed_batches.load()
        await self._scan()

    async def _scan(self) -> None:
        """Compares every project's log with the position in it."""
        self._next_scan = asyncio.get_running_loop().time() + self._context.scan
        projects = [one for one in await self._log.projects() if self._runner.config.serves(one)]
        await self._locate(projects)
        uses = await self._log.use(projects)
        pending = 0
        for project_id, use in zip(projects, uses, strict=True):
            waiting = use.seq - self._positions[project_id].seq
            pending += max(waiting, 0)
            if waiting > 0:
                self.mark(project_id)
        self._metrics.waiting(self._log.shard, pending)

    async def _locate(self, project_ids: list[str]) -> None:
        unknown = [one for one in project_ids if one not in self._positions]
        found = await self._log.positions(unknown, self._sink)
        self._positions.update(zip(unknown, found, strict=True))

    async def _turn(self) -> None:
        await self._wait_for_news()
        if self._stopping.is_set():
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_scan:
            await self._scan()
        if loop.time() >= self._next_expiry:
            await self._expire()
        if not self._news:
            return
        self._news_since = None
        await self._locate(list(self._news))
        builder = await self._batch_reader.gather(self._news, self._positions)
        self._more = bool(self._news) and (builder.full or bool(builder.gaps))
        if builder.gaps:
            await self._give_up_gaps(builder.gaps)
        if not builder.log_ranges:
            return
        self._context.on_step("read")
        if any(log_range.events for log_range in builder.log_ranges):
            await self._sealed_batches.seal(builder.log_ranges)
            await self._deliver()
        else:
            await self._record(of_filtered(builder.log_ranges))

    async def _wait_for_news(self) -> None:
        """Until there is enough for a batch, or what there is has waited long enough, or a scan is due."""
        loop = asyncio.get_running_loop()
        self._wake.clear()
        if not self._news and not self._stopping.is_set():
            try:
                async with asyncio.timeout_at(max(self._next_scan, loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                return
        if self._news and not self._more and self._runner.limits.age > 0:
            since = loop.time() if self._news_since is None else self._news_since
            await self._sleep(self._runner.closes(since) - loop.time())

    async def _deliver(self) -> None:
        """Writes what is promised, the oldest first, until all of it is settled."""
        while (promised := self._sealed_batches.oldest) is not None and not self._stopping.is_set():
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
                    self._runner.note(self._log.shard, State.PAUSED, message)
                    await self._pause(self._context.pause)
                case Crashed():
                    await self._judge(promised, outcome)
                case Retry(message=message, after=after, events=places):
                    self._metrics.retried()
                    self._runner.note(self._log.shard, State.RETRYING, message)
                    if places is not None and len(places) < len(promised.events):
                        promised = await self._keep_only(promised, places)
                    await self._pause(self._context.backoff.seconds(promised.attempts, after))

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
                await self._halve(promised)
                for half in islice(self._sealed_batches, 2):
                    half.crashes, half.suspect = 0, True
            case Verdict.GIVE_UP:
                await self._settle(promised, Result((Reject((0,), PLUGIN_CRASHED, crashed.message),)))
                return
            case Verdict.PAUSE:
                message = f"it crashes with each of {MAX_GIVEN_UP} events in a row: {crashed.message}"
                self._runner.note(self._log.shard, State.PAUSED, message)
                await self._pause(self._context.pause)
                return
        self._runner.note(self._log.shard, State.RETRYING, crashed.message)
        await self._pause(self._context.backoff.seconds(promised.attempts))

    def _is_to_be_halved(self, promised: SealedBatch, result: Result) -> bool:
        """Where all of a batch was rejected by a target that does not say which events it means."""
        count = len(promised.events)
        rejected = {place for reject in result.rejected for place in reject.events}
        return not self._runner.per_event and 1 < count == len(rejected)

    async def _take(self, promised: SealedBatch, result: Result) -> None:
        """Settles a batch, unless the sink rejects most of what it gets: then it pauses, and nothing is given up."""
        events = len(promised.events)
        excess = self._runner.rejections.too_many(events, result) if self._runner.config.pause_rejecting else None
        if excess is not None:
            self._runner.note(self._log.shard, State.PAUSED, excess)
            await self._pause(self._context.pause)
            return
        await self._settle(promised, result)
        self._runner.rejections.add(events, result)

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
        self._metrics.oldest(self._log.shard, None)

    async def _give_up_lost(self, promised: SealedBatch) -> None:
        message = "the log no longer holds all events of a batch that was promised"
        _log.error(message, sink=self._sink, shard=self._log.shard, number=promised.number)
        settled = given_up(self._sink, promised.ranges, LOG_LOST, message, self._attempts(promised))
        await self._record(settled, promised)

    async def _give_up_gaps(self, gaps: dict[str, tuple[Position, Position]]) -> None:
        message = "the events left the log while the sink was switched off, or not for this project"
        _log.warning(message, sink=self._sink, shard=self._log.shard, projects=len(gaps))
        now_ms = self._now_ms()
        lost = {project_id: GivenUp.whole(*ends) for project_id, ends in gaps.items()}
        await self._record(given_up(self._sink, lost, LOG_LOST, message, Attempts(0, now_ms, now_ms)))

    async def _halve(self, promised: SealedBatch) -> None:
        first, second = halves(promised.log_ranges)
        later = [one.log_ranges for one in self._sealed_batches if one is not promised]
        await self._sealed_batches.replace([first, second, *later], [])

    async def _keep_only(self, promised: SealedBatch, places: Sequence[int]) -> SealedBatch:
        """Settles what was written of a batch, and promises the rest as one of its own."""
        settled, remaining = of_retry(promised.log_ranges, places)
        later = [one.log_ranges for one in self._sealed_batches if one is not promised]
        await self._sealed_batches.replace([remaining, *later], settled)
        self._moved(settled)
        rest = self._sealed_batches.oldest
        assert rest is not None  # noqa: S101 - it was just promised
        rest.attempts, rest.first_ms = promised.attempts, promised.first_ms
        return rest

    async def _record(self, settled: list[ProjectSettlement], gone: SealedBatch | None = None) -> None:
        await self._sealed_batches.settle(settled, gone)
        self._moved(settled)

    def _moved(self, settled: list[ProjectSettlement]) -> None:
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
        oldest = self._sealed_batches.oldest
        attempts = self._attempts(oldest) if oldest else Attempts(0, self._now_ms(), self._now_ms())
        message = f"the project's backlog went over {self._context.backlog_bytes} bytes while the sink did not take it"
        settled = given_up(self._sink, overdue, BACKLOG_EXPIRED, message, attempts)
        expired = {project_id: one.end for project_id, one in overdue.items()}
        _log.warning("backlog expired", sink=self._sink, shard=self._log.shard, events=sum(one.dead for one in settled))
        if any(self._sealed_batches.hold(project_id) for project_id in expired):
            batches = [without(promised.log_ranges, expired) for promised in self._sealed_batches]
            await self._sealed_batches.replace([batch for batch in batches if events_of(batch)], settled)
            self._moved(settled)
            for log_range in (log_range for batch in batches if not events_of(batch) for log_range in batch):
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
