"""Shows in Redis how each sink fares."""

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec
from redis.exceptions import ResponseError

from headgate_service.delivery.sink_runner import SinkRunner, Status
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.keys import sink_status
from headgate_service.redis.pipeline import RedisPipeline

_LOOK_SECONDS = 0.5
_pack = msgspec.json.Encoder().encode


class StatusBoard:
    """Writes each sink's status when it changes. Of several forwarders the one whose view changed last is shown."""

    def __init__(self, redis: RedisPipeline, runners: Iterable[SinkRunner]) -> None:
        self._redis = redis
        self._runners = runners
        self._shown: dict[str, Status] = {}
        self._epochs: dict[int, str] = {}

    def holds(self, shard: int, epoch: str) -> None:
        """A shard's data is that of an epoch. Where it was another's, what was shown may have gone with it."""
        if self._epochs.setdefault(shard, epoch) != epoch:
            self._epochs[shard] = epoch
            self._shown.clear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            # Shown at a later look, then; delivery itself says in the log what is wrong with Redis.
            with contextlib.suppress(RedisUnavailable, ResponseError):
                await self.show()
            await asyncio.sleep(_LOOK_SECONDS)

    async def show(self) -> None:
        """Raises RedisUnavailable, ResponseError."""
        for runner in self._runners:
            status = runner.status
            if self._shown.get(runner.name) != status:
                await self._redis.execute(
                    *("HSET", sink_status(runner.name), "state", status.state.name),
                    *("last_error", status.last_error, "since", int(status.since * 1000)),
                    *("held", _pack(status.held), "others", status.others.name),
                )
                self._shown[runner.name] = status
