"""A forwarder: holds its share of the shards and runs them."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from redis.exceptions import ResponseError

from headgate_service.delivery.lease import Lease, fair_share, take
from headgate_service.delivery.shard import Shard
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.keys import FORWARDERS, SHARDS, shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Fenced, Script


class ProjectCount:
    """Counts the projects that ever had an entry, every `seconds`; `projects` is at least 1."""

    def __init__(self, redis: RedisPipeline, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self.projects = 1

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                counts = await asyncio.gather(
                    *(self._redis.execute("SCARD", shard_keys(shard).projects) for shard in range(SHARDS))
                )
                self.projects = max(1, sum(counts))
            except (RedisUnavailable, ResponseError):
                # The last count will do until Redis is back.
                pass
            await asyncio.sleep(self._seconds)


_TICK_SECONDS = 0.5
_JOIN = Script("join", __package__)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Held:
    shard: Shard
    task: "asyncio.Task[None]"
    # By the loop's clock: after this the lease may be another's, if Redis did not say otherwise.
    ends: float
    leaving: bool = False


class Forwarder:
    """Takes leases, renews them and gives them up so that all forwarders that run hold about as many shards each.

    `make_shard` builds what runs under a lease. `shards` is filled with those held now, by tag. `lease` is in seconds.
    """

    def __init__(
        self,
        redis: RedisPipeline,
        owner: str,
        lease: float,
        make_shard: Callable[[Lease], Shard],
        shards: dict[str, Shard],
        on_step: Callable[[str], None],
    ) -> None:
        self._redis = redis
        self._owner = owner
        self._lease = lease
        self._make_shard = make_shard
        self._on_step = on_step
        self._held: dict[str, _Held] = {}
        self._draining = False
        self._ticking = asyncio.Lock()
        self._releases: set[asyncio.Task[None]] = set()
        self.shards = shards

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                # A reply that never comes must not keep leases that ran out from being noticed.
                async with self._ticking, asyncio.timeout(self._lease / 3):
                    await self._tick()
            except (RedisUnavailable, ResponseError, TimeoutError) as error:
                _log.warning("forwarder waits for Redis", error=str(error) or type(error).__name__)
            self._drop_run_out()
            await asyncio.sleep(min(_TICK_SECONDS, self._lease / 6))

    async def drain(self, seconds: float) -> None:
        """Lets running writes end, at most so long, and gives up all leases. `run` keeps renewing them meanwhile."""
        self._draining = True
        # What a look under way takes is held only at its end.
        async with self._ticking:
            pass
        for held in self._held.values():
            held.shard.stop()
        tasks = [held.task for held in self._held.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._releases, return_exceptions=True)
        with contextlib.suppress(RedisUnavailable, ResponseError):
            await asyncio.gather(*(held.shard.lease.release(self._redis) for held in self._held.values()))
            await self._redis.execute("ZREM", FORWARDERS, self._owner)

    def lose(self, tag: str) -> None:
        """Stops a shard at once: its lease is another's."""
        held = self._held.pop(tag, None)
        self.shards.pop(tag, None)
        if held is not None:
            _log.warning("lease lost", shard=held.shard.lease.shard)
            held.task.cancel()

    async def _tick(self) -> None:
        await self._renew()
        if self._draining:
            return
        share = await self._share()
        staying = [held for held in self._held.values() if not held.leaving]
        for held in staying[share:]:
            held.leaving = True
            held.shard.stop()
        if len(staying) < share:
            await self._take(share - len(staying))

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        due = {tag: held for tag, held in self._held.items() if held.ends - loop.time() < self._lease * 2 / 3}
        ends = loop.time() + self._lease
        renewed = await asyncio.gather(*(held.shard.lease.renew(self._redis) for held in due.values()))
        for (tag, held), still in zip(due.items(), renewed, strict=True):
            if still:
                held.ends = ends
            else:
                self.lose(tag)

    async def _share(self) -> int:
        # Less than a lease: when the shards of one that died are free, the others know that they may have more.
        owners = await _JOIN.run(self._redis, [FORWARDERS], self._owner, int(self._lease * 500))
        return fair_share(self._owner, [owner.decode() for owner in owners], SHARDS)

    async def _take(self, count: int) -> None:
        wanted = [shard for shard in range(SHARDS) if shard_keys(shard).tag not in self._held]
        holders = await asyncio.gather(*(self._redis.execute("GET", shard_keys(one).lease) for one in wanted))
        free = [
            shard
            for shard, holder in zip(wanted, holders, strict=True)
            if holder is None or holder.decode().partition(" ")[2] == self._owner
        ]
        ends = asyncio.get_running_loop().time() + self._lease
        milliseconds = int(self._lease * 1000)
        taken = await asyncio.gather(
            *(take(self._redis, one, shard_keys(one), self._owner, milliseconds) for one in free[:count])
        )
        for lease in taken:
            if lease is not None:
                self._on_step("lease")
                await self._start(lease, ends)

    async def _start(self, lease: Lease, ends: float) -> None:
        shard = self._make_shard(lease)
        tag = lease.keys.tag
        task = asyncio.create_task(shard.run(), name=f"shard-{lease.shard:02d}")
        self._held[tag] = _Held(shard, task, ends)
        self.shards[tag] = shard
        task.add_done_callback(lambda done: self._ended(tag, shard, done))

    def _ended(self, tag: str, shard: Shard, task: "asyncio.Task[None]") -> None:
        """A shard that stops was told to, or found its lease lost."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not _all_fenced(error):
            # As text: a renderer that shows local variables would show events.
            details = "".join(traceback.format_exception(error))
            _log.error("shard failed", shard=shard.lease.shard, details=details)
        held = self._held.get(tag)
        if held is None or held.shard is not shard:
            return
        if held.leaving or error is not None:
            del self._held[tag], self.shards[tag]
            release = asyncio.create_task(self._release(shard.lease))
            self._releases.add(release)
            release.add_done_callback(self._releases.discard)

    async def _release(self, lease: Lease) -> None:
        with contextlib.suppress(RedisUnavailable, ResponseError):
            await lease.release(self._redis)

    def _drop_run_out(self) -> None:
        now = asyncio.get_running_loop().time()
        for tag in [tag for tag, held in self._held.items() if held.ends < now]:
            self.lose(tag)


def _all_fenced(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_all_fenced, error.exceptions))
    return isinstance(error, Fenced)
