"""One sink in one shard: takes what is new, promises it, writes it until it is settled, and goes on.

Lanes share nothing but the process, so that none waits for another's target.
"""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from headgate.v1 import log_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Reject, Result, Retry, TooLarge

from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.harvest import EventCache, Harvest, rebuild
from headgate_service.delivery.metrics import SinkMetrics
from headgate_service.delivery.outlet import Outlet, State
from headgate_service.delivery.portion import Portion, events_of, halves, start_of, without
from headgate_service.delivery.position import Position
from headgate_service.delivery.script import Fenced, Stale
from headgate_service.delivery.settlement import (
    BACKLOG_EXPIRED,
    LOG_LOST,
    Attempts,
    ProjectSettlement,
    Settlement,
    given_up,
    of_result,
)
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.log.redis_pipeline import RedisUnavailable

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What all lanes have in common; see Config."""

    backoff: Backoff
    config_version: int
    scan: float
    pause: float
    expire_check: float
    backlog_bytes: int
    dead_letters: int


@dataclass(slots=True)
class Promised:
    """A batch that was sealed and is not settled. `attempts` are this process's."""

    number: int
    seal_time_ms: int
    portions: list[Portion]
    # What the log no longer held when the batch was rebuilt; such a batch is not sent, since it would not be the same.
    lost: bool = False
    ranges: dict[str, tuple[Position, Position]] = field(default_factory=dict)
    attempts: int = 0
    first_ms: int = 0


class Lane:
    """Runs until `stop`, or raises Fenced. `on_settled` is told which projects have moved."""

    def __init__(
        self,
        outlet: Outlet,
        log: ShardLog,
        epoch: str,
        rules: LaneRules,
        cache: EventCache,
        metrics: SinkMetrics,
        clock: Callable[[], float],
        on_step: Callable[[str], None],
        on_settled: Callable[[list[str]], None],
    ) -> None:
        self._outlet = outlet
        self._sink = outlet.name
        self._log = log
        self._epoch = epoch
        self._rules = rules
        self._cache = cache
        self._harvest = Harvest(log, outlet.limits, cache)
        self._metrics = metrics
        self._clock = clock
        self._on_step = on_step
        self._on_settled = on_settled
        self._spec_hash = outlet.config.spec_hash()

        self._positions: dict[str, Position] = {}
        self._news: dict[str, None] = {}
        self._news_since: float | None = None
        self._more = False
        self._promised: list[Promised] = []
        self._version = 0
        self._next_scan = 0.0
        self._next_expiry = 0.0
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()

    def mark(self, project_id: str) -> None:
        """There is news of a project."""
        if self._outlet.config.serves(project_id):
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
                    self._outlet.note(self._log.shard, State.RETRYING, reason)
                    # As text: a renderer that shows local variables would show events.
                    details = traceback.format_exc()
                    _log.error("lane failed", sink=self._sink, shard=self._log.shard, details=details)
                if failures:
                    await self._sleep(self._rules.backoff.seconds(failures))
        finally:
            self._outlet.note(self._log.shard, State.RUNNING)
            self._metrics.forget(self._log.shard)

    async def _resume(self) -> None:
        """Takes up what is promised, and everything else from the cursors."""
        self._positions, self._news, self._promised = {}, {}, []
        seals = await self._log.seals(self._sink)
        self._version = seals.version
        for number, sealed in seals.batches.items():
            self._promised.append(await self._rebuilt(number, sealed))
            self._on_step("read")
        await self._scan()
        self._more = True
        await self._deliver()

    async def _rebuilt(self, number: int, sealed: log_pb2.SealedBatch) -> Promised:
        promised = Promised(number, sealed.seal_time_ms, [])
        for one in sealed.ranges:
            start = start_of(one)
            portion = await rebuild(self._log, self._cache, one.project_id, start, one.last_entry, one.last_seq)
            promised.portions.append(portion)
            end = portion.end
            if end.seq != one.last_seq:
                promised.lost = True
                end = await self._end_of_lost(one)
            promised.ranges[one.project_id] = (start, end)
        return promised

    async def _end_of_lost(self, one: log_pb2.SealedRange) -> Position:
        entries = await self._log.read_range(one.project_id, one.after_entry, one.last_entry)
        if not entries:
            return Position(one.last_entry, one.last_seq, one.last_bytes)
        # The last entry may hold more than was promised, which is still to be delivered.
        done = [entry for entry in entries if entry.seq <= one.last_seq]
        if not done:
            return Position(one.after_entry, one.last_seq, one.last_bytes - one.bytes)
        return Position(done[-1].id, one.last_seq, done[-1].log_bytes)

    async def _scan(self) -> None:
        """Compares every project's log with the position in it."""
        self._next_scan = asyncio.get_running_loop().time() + self._rules.scan
        projects = [one for one in await self._log.projects() if self._outlet.config.serves(one)]
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
        basket = await self._harvest.gather(self._news, self._positions)
        self._more = bool(self._news) and (basket.full or bool(basket.gaps))
        if basket.gaps:
            await self._give_up_gaps(basket.gaps)
        if not basket.portions:
            return
        self._on_step("read")
        await self._seal(basket.portions)
        await self._deliver()

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
        if self._news and not self._more and self._outlet.limits.age > 0:
            since = loop.time() if self._news_since is None else self._news_since
            await self._sleep(since + self._outlet.limits.age - loop.time())

    async def _seal(self, portions: list[Portion]) -> None:
        now_ms = await self._log.now_ms()
        blob = self._sealed(portions, now_ms)
        number, self._version = await self._log.seal(self._sink, self._version, blob)
        self._on_step("seal")
        self._promised.append(Promised(number, now_ms, portions))

    def _sealed(self, portions: list[Portion], seal_time_ms: int) -> bytes:
        return log_pb2.SealedBatch(
            ranges=[portion.sealed() for portion in portions],
            config_version=self._rules.config_version,
            spec_hash=self._spec_hash,
            seal_time_ms=seal_time_ms,
        ).SerializeToString()

    async def _deliver(self) -> None:
        """Writes what is promised, the oldest first, until all of it is settled."""
        while self._promised and not self._stopping.is_set():
            promised = self._promised[0]
            if promised.lost:
                await self._give_up_lost(promised)
                continue
            outcome = await self._write(promised)
            self._on_step("write")
            match outcome:
                case Result():
                    await self._settle(promised, outcome)
                case TooLarge(message=message) if len(events_of(promised.portions)) == 1:
                    await self._settle(promised, Result((Reject((0,), "too_large", message),)))
                case TooLarge():
                    await self._halve(promised)
                case Misconfigured(message=message):
                    self._outlet.note(self._log.shard, State.PAUSED, message)
                    await self._pause(self._rules.pause)
                case Retry(message=message, after=after):
                    self._metrics.retried()
                    self._outlet.note(self._log.shard, State.RETRYING, message)
                    await self._pause(self._rules.backoff.seconds(promised.attempts, after))

    async def _write(self, promised: Promised) -> Outcome:
        events = events_of(promised.portions)
        promised.attempts += 1
        promised.first_ms = promised.first_ms or self._now_ms()
        self._metrics.oldest(self._log.shard, events[0].receive_time.ToMilliseconds())
        return await self._outlet.write(
            Batch(
                id=batch_id(self._epoch, self._sink, self._log.shard, promised.number),
                epoch=self._epoch,
                shard=self._log.shard,
                number=promised.number,
                seal_time_ms=promised.seal_time_ms,
                events=events,
                attempt=promised.attempts,
            )
        )

    async def _settle(self, promised: Promised, result: Result) -> None:
        settled = of_result(self._sink, promised.portions, result, self._attempts(promised))
        await self._record(Settlement([promised.number], projects=settled))
        self._promised.remove(promised)
        self._outlet.observers.batch_settled(
            sink=self._sink,
            batch_id=batch_id(self._epoch, self._sink, self._log.shard, promised.number),
            delivered=sum(one.delivered for one in settled),
            dead=sum(one.dead for one in settled),
            attempts=promised.attempts,
        )
        self._outlet.note(self._log.shard, State.RUNNING)
        self._metrics.oldest(self._log.shard, None)

    async def _give_up_lost(self, promised: Promised) -> None:
        message = "the log no longer holds all events of a batch that was promised"
        _log.error(message, sink=self._sink, shard=self._log.shard, number=promised.number)
        settled = given_up(self._sink, promised.ranges, LOG_LOST, message, self._attempts(promised))
        await self._record(Settlement([promised.number], projects=settled))
        self._promised.remove(promised)

    async def _give_up_gaps(self, gaps: dict[str, tuple[Position, Position]]) -> None:
        message = "the events left the log while the sink was switched off, or not for this project"
        _log.warning(message, sink=self._sink, shard=self._log.shard, projects=len(gaps))
        now_ms = self._now_ms()
        await self._record(
            Settlement(projects=given_up(self._sink, gaps, LOG_LOST, message, Attempts(0, now_ms, now_ms)))
        )

    async def _halve(self, promised: Promised) -> None:
        first, second = halves(promised.portions)
        await self._replace([first, second, *(later.portions for later in self._promised[1:])], [])

    async def _replace(self, batches: list[list[Portion]], settled: list[ProjectSettlement]) -> None:
        """Promises other batches in place of all that are promised. They take new numbers, since none of them has the
        content of an old one, but for later ones, which were never sent and must come after."""
        now_ms = await self._log.now_ms()
        numbers = await self._record(
            Settlement(
                [one.number for one in self._promised], [self._sealed(batch, now_ms) for batch in batches], settled
            )
        )
        self._promised = [Promised(number, now_ms, batch) for number, batch in zip(numbers, batches, strict=True)]

    async def _record(self, settlement: Settlement) -> list[int]:
        self._version, numbers = await self._log.settle(self._sink, self._version, settlement, self._rules.dead_letters)
        self._on_step("settle")
        for one in settlement.projects:
            self._positions[one.project_id] = one.position
        self._metrics.settled(
            sum(one.delivered for one in settlement.projects), sum(one.dead for one in settlement.projects)
        )
        self._on_settled([one.project_id for one in settlement.projects])
        return numbers

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
        self._next_expiry = asyncio.get_running_loop().time() + self._rules.expire_check
        projects = [one for one in self._positions if one in self._news or self._is_promised(one)]
        uses = await self._log.use(projects)
        self._metrics.waiting(
            self._log.shard,
            sum(use.seq - self._positions[one].seq for one, use in zip(projects, uses, strict=True)),
        )
        if not self._outlet.expires:
            return
        ends: dict[str, tuple[Position, Position]] = {}
        for project_id, use in zip(projects, uses, strict=True):
            start = self._positions[project_id]
            excess = use.bytes - start.bytes - self._rules.backlog_bytes
            if excess > 0:
                ends[project_id] = (start, await self._position_after(project_id, start, excess))
        if not ends:
            return
        oldest = self._promised[0] if self._promised else None
        attempts = self._attempts(oldest) if oldest else Attempts(0, self._now_ms(), self._now_ms())
        message = f"the project's backlog went over {self._rules.backlog_bytes} bytes while the sink did not take it"
        settled = given_up(self._sink, ends, BACKLOG_EXPIRED, message, attempts)
        expired = {project_id: end for project_id, (_, end) in ends.items()}
        _log.warning("backlog expired", sink=self._sink, shard=self._log.shard, events=sum(one.dead for one in settled))
        if any(self._is_promised(project_id) for project_id in expired):
            batches = [without(promised.portions, expired) for promised in self._promised]
            await self._replace([batch for batch in batches if batch], settled)
        else:
            await self._record(Settlement(projects=settled))

    async def _position_after(self, project_id: str, start: Position, payload_bytes: int) -> Position:
        """The end of the first entry with which at least so many bytes after `start` are done."""
        position = start
        while position.bytes - start.bytes < payload_bytes:
            entries = await self._log.read(project_id, position.entry, 8)
            if not entries:
                break
            for entry in entries:
                position = Position(entry.id, entry.seq, entry.log_bytes)
                if position.bytes - start.bytes >= payload_bytes:
                    break
        return position

    def _is_promised(self, project_id: str) -> bool:
        return any(portion.project_id == project_id for one in self._promised for portion in one.portions)

    def _attempts(self, promised: Promised) -> Attempts:
        now_ms = self._now_ms()
        return Attempts(promised.attempts, promised.first_ms or now_ms, now_ms)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    async def _sleep(self, seconds: float) -> None:
        """Less where the lane is to stop."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                pass


def batch_id(epoch: str, sink: str, shard: int, number: int) -> str:
    """At most 100 characters, given that an epoch has 16 and a sink's name at most 40."""
    return f"{epoch}-{sink}-s{shard:02d}-{number:06d}"
