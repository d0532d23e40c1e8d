"""Dead letters' events that are to be sent again to one sink in one shard, as Redis keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.v1 import delivery_pb2

from headgate_service.delivery.lease import Lease
from headgate_service.delivery.names import replay_sink
from headgate_service.delivery.script import Script
from headgate_service.log.redis_pipeline import RedisPipeline

_RETRIED = Script("retried")


@dataclass(slots=True)
class QueuedRetry:
    """One event, under the number of the batch that it is. `attempts` are this process's."""

    field: str
    number: int
    stored: delivery_pb2.StoredRetry
    attempts: int = 0
    # As of a batch of a lane.
    crashes: int | None = None


class RetryQueue:
    """Every method raises RedisUnavailable, ResponseError."""

    def __init__(self, redis: RedisPipeline, lease: Lease, sink: str) -> None:
        self._redis = redis
        self._lease = lease
        self._sink = sink
        self.shard = lease.shard

    async def load(self) -> list[QueuedRetry]:
        """All that are queued, by rising number."""
        raw = await self._redis.execute("HGETALL", self._lease.keys.retries(self._sink))
        queued = []
        for field, value in zip(raw[::2], raw[1::2], strict=True):
            if field != b"n":
                number, _, blob = value.partition(b" ")
                queued.append(QueuedRetry(field.decode(), int(number), delivery_pb2.StoredRetry.FromString(blob)))
        return sorted(queued, key=lambda one: one.number)

    async def delivered(self, retry: QueuedRetry) -> None:
        """The event is a dead letter no more. Raises Fenced, Stale."""
        await self._record(retry, ())

    async def dead(self, retry: QueuedRetry, code: str, message: str, attempts: int, now_ms: int) -> None:
        """The event is dead again: another letter takes its letter's place. Raises Fenced, Stale."""
        stored, name = retry.stored, self._name(retry)
        await self._record(
            retry,
            (
                *("sink", name, "lo", stored.ordinal - 1, "hi", stored.ordinal, "code", code, "message", message),
                *("attempts", attempts, "first_ms", stored.first_ms, "ms", now_ms),
                *("event", stored.event.SerializeToString(deterministic=True)),
            ),
        )

    async def _record(self, retry: QueuedRetry, letter: Sequence[str | int | bytes]) -> None:
        project, name = self._lease.keys.project(retry.stored.project_id), self._name(retry)
        keys = [
            *(self._lease.keys.lease, self._lease.keys.retries(self._sink)),
            *(project.cursors, project.dead, project.dead_ranges(name), self._lease.keys.changed),
        ]
        await _RETRIED.run(
            *(self._redis, keys, self._lease.token, self._lease.milliseconds, retry.field, name),
            *(retry.stored.letter_id, retry.stored.ordinal, retry.stored.project_id, *letter),
        )

    def _name(self, retry: QueuedRetry) -> str:
        """In whose books it is: the sink's, or those of a replay into it."""
        return replay_sink(retry.stored.replay_id) if retry.stored.replay_id else self._sink
