"""What operators ask of a running forwarder: to stop and start sinks, to send things again, to try a sink."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from headgate.v1.delivery_pb2 import StoredReplay
from headgate_sinks import Batch, Misconfigured, Outcome, Result, Retry, TooLarge
from redis.exceptions import ResponseError

from headgate_service.delivery.sealed_batches import batch_id
from headgate_service.delivery.shard import Shard
from headgate_service.delivery.sink_runner import SinkRunner
from headgate_service.delivery.sink_runners import SinkRunners
from headgate_service.errors import RedisUnavailable
from headgate_service.log.position import Position
from headgate_service.redis.keys import (
    COMMANDS,
    PAUSED_SINKS,
    REPLAYS,
    SINK_TESTS,
    replay_sink,
    shard_keys,
    sink_test_answer,
)
from headgate_service.redis.pipeline import RedisPipeline

TEST_EVENT, TEST_PROJECT = "headgate_test", "headgate-test"
_LOOK_SECONDS = 0.5
_TEST_SECONDS = 10.0
_ANSWER_SECONDS = 60

_log = structlog.get_logger(__name__)


class Commands:
    """Looks twice a second. `shards` are those held now, by tag; `clock` gives seconds since 1970."""

    def __init__(
        self,
        redis: RedisPipeline,
        runners: SinkRunners,
        shards: Mapping[str, Shard],
        clock: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._runners = runners
        self._shards = shards
        self._clock = clock
        self._count: bytes | None = b""
        self.paused: frozenset[str] = frozenset()
        self._replays: dict[str, StoredReplay] = {}
        self._replayed: dict[str, list[str]] = {}
        self._tests: set[asyncio.Task[None]] = set()

    def replays_of(self, project_id: str) -> Iterable[str]:
        """The replays under way that read a project, by the names that their cursors have."""
        return self._replayed.get(project_id, ())

    async def run(self) -> None:
        """Until cancelled."""
        failing = False
        while True:
            try:
                await self.look()
                failing = False
            except (RedisUnavailable, ResponseError) as error:
                if not failing:
                    _log.warning("errands wait for Redis", error=str(error))
                failing = True
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Raises RedisUnavailable, ResponseError."""
        paused, count, tests = await asyncio.gather(
            self._redis.execute("HKEYS", PAUSED_SINKS),
            self._redis.execute("GET", COMMANDS),
            self._redis.execute("HGETALL", SINK_TESTS),
        )
        self.paused = frozenset(name.decode() for name in paused)
        for runner in self._runners:
            runner.hold(runner.name in self.paused)
        await self._take_tests(tests)
        if count != self._count:
            await self._load_replays()
            for shard in self._shards.values():
                shard.retry_soon()
            self._count = count
        await self._end_replays()
        for shard in list(self._shards.values()):
            number = shard.lease.shard
            shard.replay(
                {
                    replay_id: stored
                    for replay_id, stored in self._replays.items()
                    if any(one.shard == number for one in stored.ranges)
                }
            )

    async def _take_tests(self, asked: Sequence[bytes]) -> None:
        """Tries the sinks that are here, each test in one forwarder only."""
        for event_id, said in zip(asked[::2], asked[1::2], strict=True):
            ms, _, sink = said.decode().partition(" ")
            runner = self._runners.named(sink)
            overdue = self._clock() * 1000 - int(ms) > _ANSWER_SECONDS * 1000
            if not (runner or overdue) or not await self._redis.execute("HDEL", SINK_TESTS, event_id):
                continue
            if runner is not None and not overdue:
                task = asyncio.create_task(self._test(runner, event_id.decode()))
                self._tests.add(task)
                task.add_done_callback(self._tests.discard)

    async def _load_replays(self) -> None:
        stored = [StoredReplay.FromString(one) for one in await self._redis.execute("HVALS", REPLAYS)]
        self._replays = {one.id: one for one in stored if one.end == StoredReplay.END_UNSPECIFIED}
        self._note_replayed()

    def _note_replayed(self) -> None:
        replayed: dict[str, list[str]] = {}
        for stored in self._replays.values():
            # What is read from the store keeps nothing in the log.
            for one in () if stored.from_store else stored.ranges:
                replayed.setdefault(one.project_id, []).append(replay_sink(stored.id))
        self._replayed = replayed

    async def _end_replays(self) -> None:
        """Marks those whose cursors have all come to the end."""
        for stored in list(self._replays.values()):
            field = f"c:{replay_sink(stored.id)}"
            cursors = await asyncio.gather(
                *(
                    self._redis.execute("HGET", shard_keys(one.shard).project(one.project_id).cursors, field)
                    for one in stored.ranges
                )
            )
            if all(
                cursor is not None and Position.parse(cursor.decode()).seq >= one.last_seq
                for cursor, one in zip(cursors, stored.ranges, strict=True)
            ):
                del self._replays[stored.id]
                self._note_replayed()
                stored.end = StoredReplay.END_DONE
                await self._redis.execute("HSET", REPLAYS, stored.id, stored.SerializeToString())
                _log.info("replay is done", replay=stored.id, sink=stored.sink)

    async def _test(self, runner: SinkRunner, event_id: str) -> None:
        now = self._clock()
        try:
            epoch = (await self._redis.execute("GET", shard_keys(0).epoch) or b"").decode() + "-test"
            try:
                async with asyncio.timeout(_TEST_SECONDS):
                    outcome: Outcome = await runner.write(_test_batch(runner.name, epoch, event_id, now))
            except TimeoutError:
                outcome = Retry(f"the sink did not finish within {_TEST_SECONDS:g} s")
            answer = sink_test_answer(event_id)
            await self._redis.execute("RPUSH", answer, _fault(outcome))
            await self._redis.execute("EXPIRE", answer, _ANSWER_SECONDS)
        except (RedisUnavailable, ResponseError) as error:
            _log.warning("a test's answer is lost", sink=runner.name, error=str(error))


def _test_batch(sink: str, epoch: str, event_id: str, now: float) -> Batch:
    """One event, in no project's log; numbered by the clock, under an epoch of its own."""
    number = int(now * 1000)
    moment = Timestamp(seconds=number // 1000, nanos=number % 1000 * 1_000_000)
    event = event_pb2.Event(
        event_id=event_id,
        name=TEST_EVENT,
        project_id=TEST_PROJECT,
        occur_time=moment,
        receive_time=moment,
        distinct_id=TEST_PROJECT,
        test=True,
        dialect=event_pb2.DIALECT_GRPC,
        sample_weight=1.0,
        properties_json=b'{"headgate_test":true}',
    )
    return Batch(
        id=batch_id(epoch, sink, 0, number), epoch=epoch, shard=0, number=number, seal_time_ms=number, events=[event]
    )


def _fault(outcome: Outcome) -> str:
    """Why a test failed; empty where it did not."""
    match outcome:
        case Result(rejected=(first, *_)):
            return f"rejected ({first.code}): {first.message}"
        case Result():
            return ""
        case TooLarge(message=message):
            return f"too large: {message}"
        case Retry(message=message):
            return f"not now: {message}"
        case Misconfigured(message=message):
            return f"misconfigured: {message}"
