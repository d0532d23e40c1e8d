"""Sends dead letters' events to their sink once more, when an operator asked for it, beside what comes in.

Each is a batch of its own, so that one that is refused again keeps none of the others from being delivered. It is in
Redis with its number before it is sent, and until its end is recorded: a resend after a crash has the same id.
"""

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from headgate.v1 import delivery_pb2
from headgate_sinks import Batch, Misconfigured, Outcome, Result, Retry, TooLarge

from headgate_service.delivery.attempt import Crashed
from headgate_service.delivery.lane_context import LaneContext
from headgate_service.delivery.lease import Lease
from headgate_service.delivery.metrics import SinkMetrics
from headgate_service.delivery.safeguards import CRASHES, PLUGIN_CRASHED
from headgate_service.delivery.sealed_batches import batch_id
from headgate_service.delivery.sink_runner import SinkRunner
from headgate_service.errors import RedisUnavailable
from headgate_service.model.event_view import seen
from headgate_service.redis.keys import replay_sink
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.redis.script import Fenced, Script, Stale

_RETRIED = Script("retried", __package__)


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
            *(project.letters, self._lease.keys.letters),
        ]
        await _RETRIED.run(
            *(self._redis, keys, self._lease.token, self._lease.milliseconds, retry.field, name),
            *(retry.stored.letter_id, retry.stored.ordinal, retry.stored.project_id, *letter),
        )

    def _name(self, retry: QueuedRetry) -> str:
        """In whose books it is: the sink's, or those of a replay into it."""
        return replay_sink(retry.stored.replay_id) if retry.stored.replay_id else self._sink


_log = structlog.get_logger(__name__)


class RetryLane:
    """Runs until `stop`, or raises Fenced. Its batches have an epoch of their own, apart from the log's."""

    def __init__(
        self,
        runner: SinkRunner,
        queue: RetryQueue,
        epoch: str,
        context: LaneContext,
        metrics: SinkMetrics,
    ) -> None:
        self._runner = runner
        self._queue = queue
        self._epoch = f"{epoch}-retry"
        self._context = context
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    def mark(self, project_id: str) -> None:
        """It ignores new log entries."""

    def scan_soon(self) -> None:
        """Something may have been asked for."""
        self._wake.set()

    def stop(self) -> None:
        """Ends the lane once the write under way, if any, is recorded."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                await self._send_all()
                failures = 0
            except Fenced:
                raise
            except Stale:
                # What was asked for is looked at again at once.
                continue
            except RedisUnavailable as error:
                failures += 1
                _log.warning("retries wait for Redis", shard=self._queue.shard, error=str(error))
            # As in a lane: a fault of ours must not stop the shard's other lanes.
            except Exception:  # noqa: BLE001
                failures += 1
                _log.error("retries failed", sink=self._runner.name, details=traceback.format_exc())
            await self._sleep(self._context.backoff.seconds(failures) if failures else self._context.scan)

    async def _send_all(self) -> None:
        for retry in await self._queue.load():
            while not self._stopping.is_set():
                if hold := self._runner.hold_seconds:
                    await self._pause(hold)
                elif await self._send(retry):
                    break

    async def _send(self, retry: QueuedRetry) -> bool:
        """Whether it came to an end."""
        retry.attempts += 1
        outcome = await self._runner.write(self._batch(retry), alone=retry.crashes is not None)
        self._context.on_step("write")
        reason = _rejected(outcome)
        match outcome:
            case Crashed(message=message):
                self._metrics.retried()
                retry.crashes = 0 if retry.crashes is None else retry.crashes + 1
                if retry.crashes < CRASHES:
                    await self._pause(self._context.backoff.seconds(retry.attempts))
                    return False
                # It was asked for by a person, who sees by its letter that it still does.
                reason = PLUGIN_CRASHED, message
            case Misconfigured():
                await self._pause(self._context.pause)
                return False
            case Retry(after=after):
                self._metrics.retried()
                await self._pause(self._context.backoff.seconds(retry.attempts, after))
                return False
        now_ms = int(self._context.clock() * 1000)
        if reason is None:
            await self._queue.delivered(retry)
            self._metrics.settled(1, 0)
        else:
            await self._queue.dead(retry, *reason, retry.stored.attempts + retry.attempts, now_ms)
        self._context.on_step("settle")
        self._runner.observers.batch_settled(
            sink=self._runner.name,
            batch_id=self._batch(retry).id,
            delivered=int(reason is None),
            dead=int(reason is not None),
            attempts=retry.attempts,
        )
        return True

    def _batch(self, retry: QueuedRetry) -> Batch:
        return Batch(
            id=batch_id(self._epoch, self._runner.name, self._queue.shard, retry.number),
            epoch=self._epoch,
            shard=self._queue.shard,
            number=retry.number,
            seal_time_ms=retry.number,
            events=seen([retry.stored.event], self._runner.config.fields),
            attempt=retry.attempts,
        )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def _rejected(outcome: Outcome) -> tuple[str, str] | None:
    """The code and the message, where the sink will not have the event."""
    match outcome:
        case Result(rejected=(first, *_)):
            return first.code, first.message
        case TooLarge(message=message):
            return "too_large", message
    return None
