"""The latest refused requests of each project, kept for a day: why something did not arrive."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from google.protobuf.message import DecodeError
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.refused_request_pb2 import RefusedRequest
from redis.exceptions import ResponseError

from headgate_service.directory.project import Project
from headgate_service.errors import LogUnreachable, RedisUnavailable
from headgate_service.ingest.refused_payload import payload_of
from headgate_service.log.reader import write_timestamp
from headgate_service.redis.keys import ProjectKeys, shard_keys
from headgate_service.redis.pipeline import RedisPipeline

MAX_KEPT = 1_000
KEPT_SECONDS = 24 * 3600
MAX_FAULTS = 10
# Between two flushes: of a project, and of all. What is over is in the books, and not here.
MAX_WAITING_EACH, MAX_WAITING = 50, 1_000
_FLUSH_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_log = structlog.get_logger()


class RefusedRequests:
    """Keeps them in Redis, off the way of requests: one is only noted in memory, and written within half a second."""

    def __init__(self, redis: RedisPipeline, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._redis = redis
        self._now_ms = now_ms
        self._waiting: dict[ProjectKeys, list[bytes]] = {}
        self._count = 0

    def note(
        self,
        project: Project,
        api: str,
        reason: str,
        events: int,
        *,
        message: str = "",
        faults: Sequence[outcome_pb2.EventFault] = (),
        sample: bytes = b"",
        refused: Sequence[event_pb2.Event] = (),
    ) -> None:
        """Notes one. `sample` is the start of what was sent, `refused` are its events where they were understood."""
        keys = shard_keys(project.shard).project(project.id)
        waiting = self._waiting.setdefault(keys, [])
        if len(waiting) >= MAX_WAITING_EACH or self._count >= MAX_WAITING:
            return
        text, cut, hidden = payload_of(sample, refused, project.policy)
        noted = RefusedRequest(
            id=secrets.token_hex(8),
            api=api,
            reason=reason,
            message=message,
            faults=faults[:MAX_FAULTS],
            events=events,
            payload=text,
            payload_cut=cut,
            payload_hidden=hidden,
        )
        write_timestamp(noted.time, self._now_ms())
        waiting.append(noted.SerializeToString())
        self._count += 1

    async def run(self) -> None:
        """Writes what was noted, until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Writes what was noted. What Redis does not take is given up: the books have it."""
        waiting, self._waiting, self._count = self._waiting, {}, 0
        for keys, noted in waiting.items():
            if not noted:
                continue
            writes = (
                self._redis.execute("LPUSH", keys.refused, *noted),
                self._redis.execute("LTRIM", keys.refused, 0, MAX_KEPT - 1),
                self._redis.execute("EXPIRE", keys.refused, KEPT_SECONDS),
            )
            for failed in await asyncio.gather(*writes, return_exceptions=True):
                if isinstance(failed, RedisUnavailable | ResponseError):
                    _log.warning("refused-requests-not-kept", project=keys.project_id, error=str(failed))
                    break
                if isinstance(failed, BaseException):
                    raise failed

    async def latest(self, project: Project, count: int) -> list[RefusedRequest]:
        """The latest, oldest first. Raises LogUnreachable."""
        if not count:
            return []
        keys = shard_keys(project.shard).project(project.id)
        try:
            raw: list[bytes] = await self._redis.execute("LRANGE", keys.refused, 0, count - 1)
        except (RedisUnavailable, ResponseError) as error:
            raise LogUnreachable(f"Redis does not answer: {error}") from error
        return [one for one in map(_read, reversed(raw)) if one is not None]

    async def events(self, project: Project, last: int) -> AsyncIterator[RefusedRequest]:
        """The latest `last`, then each that comes. Raises LogUnreachable."""
        found = await self.latest(project, MAX_KEPT)
        seen = {one.id for one in found}
        for one in found[len(found) - min(last, len(found)) :]:
            yield one
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            found = await self.latest(project, MAX_WAITING_EACH * 4)
            for one in found:
                if one.id not in seen:
                    yield one
            # Those that left the list do not come back.
            seen = {one.id for one in found} | (seen if len(seen) <= 2 * MAX_KEPT else set())


def _read(raw: bytes) -> RefusedRequest | None:
    try:
        return RefusedRequest.FromString(raw)
    except DecodeError:
        _log.error("a refused request cannot be read")
        return None
