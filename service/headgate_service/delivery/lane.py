"""One sink in one shard: takes what is new, promises it, writes it until it is settled, and goes on.

Lanes share nothing but the process, so that none waits for another's target.
"""

import asyncio
import traceback
from dataclasses import replace

import structlog

from headgate_service.delivery.batch_delivery import BatchDelivery
from headgate_service.delivery.settlement import ProjectSettlement, of_filtered
from headgate_service.delivery.sink_runner import State
from headgate_service.errors import RedisUnavailable
from headgate_service.log.position import Position
from headgate_service.redis.script import Fenced, Stale

_log = structlog.get_logger(__name__)


class Lane(BatchDelivery):
    """Runs until `stop`, or raises Fenced. `on_settled` is told to how many payload bytes each project that moved is
    done."""

    def mark(self, project_id: str) -> None:
        """There is news of a project."""
        if self._runner.config.serves(project_id) and project_id not in self._holds:
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
            self._runner.forget(self._log.shard)
            self._metrics.forget(self._log.shard)

    async def _resume(self) -> None:
        """Takes up what is promised, and everything else from the cursors."""
        await self._load()
        self._more = True
        await self._deliver()

    async def _load(self) -> None:
        self._positions, self._news = {}, {}
        await self._sealed_batches.load()
        await self._settle_again()
        await self._scan()

    async def _settle_again(self) -> None:
        """Records what was settled and what Redis does not know: it failed over to a replica that lagged."""
        recent = list(self._recent)
        project_ids = sorted({project_id for settled in recent for project_id in settled.starts})
        found = dict(zip(project_ids, await self._log.positions(project_ids, self._sink), strict=True))
        again = 0
        for settled in recent:
            if any(found[one].seq != start for one, start in settled.starts.items()):
                continue
            promised = next((one for one in self._sealed_batches if one.number == settled.number), None)
            if promised is None and any(map(self._sealed_batches.hold, settled.starts)):
                # Another forwarder has divided the batch since.
                continue
            projects = [replace(one, position=await self._held(one)) for one in settled.projects]
            await self._sealed_batches.settle(projects, promised)
            found.update({one.project_id: one.position for one in projects})
            again += sum(one.delivered + one.dead for one in projects)
        if again:
            _log.warning(
                "Redis had forgotten what was settled: it is recorded again, and nothing is sent twice",
                sink=self._sink,
                shard=self._log.shard,
                events=again,
            )

    async def _held(self, settled: ProjectSettlement) -> Position:
        """The position, at an entry that the log holds: the next one may have a lower id than one that was lost."""
        position, end = settled.position, await self._log.end(settled.project_id)
        return position if position.entry_number <= end.entry_number else Position(end.entry, position.seq, end.bytes)

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
        if self._holds.first_end is not None:
            await self._deliver()
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
        if builder.silent:
            builder.gaps.update(await self._gaps_at_end(builder.silent))
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

    async def _gaps_at_end(self, project_ids: list[str]) -> dict[str, tuple[Position, Position]]:
        """Of projects that have news and no entry with it: the events that the log lost after its last entry. Raises
        Stale where Redis was set back and knows less of what is settled."""
        found = await self._log.positions(project_ids, self._sink)
        if any(there.seq < self._positions[one].seq for one, there in zip(project_ids, found, strict=True)):
            raise Stale
        gaps: dict[str, tuple[Position, Position]] = {}
        for project_id, use in zip(project_ids, await self._log.use(project_ids), strict=True):
            start = self._positions[project_id]
            # What came meanwhile is no gap.
            if use.seq > start.seq and not await self._log.read(project_id, start.entry, 1):
                gaps[project_id] = start, Position(start.entry, use.seq, use.bytes)
        return gaps

    async def _wait_for_news(self) -> None:
        """Until there is enough for a batch, or what there is has waited long enough, or a scan is due."""
        loop = asyncio.get_running_loop()
        self._wake.clear()
        if not self._news and not self._stopping.is_set():
            try:
                ends = self._next_scan
                if (first_end := self._holds.first_end) is not None:
                    ends = min(ends, first_end, self._next_expiry)
                async with asyncio.timeout_at(max(ends, loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                return
        if self._news and not self._more and self._runner.limits.age > 0:
            since = loop.time() if self._news_since is None else self._news_since
            await self._sleep(self._runner.closes(since) - loop.time())
