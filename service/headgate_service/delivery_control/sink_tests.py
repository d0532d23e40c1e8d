"""Tries a sink with one event, by whichever forwarder takes it up first."""

import asyncio
import time
from collections.abc import Callable

from headgate_service.delivery.names import SINK_TESTS, sink_test_answer
from headgate_service.log.redis_pipeline import RedisPipeline

ANSWER_SECONDS = 12.0
_LOOK_SECONDS = 0.1


class TestUnanswered(Exception):
    """No forwarder said what came of the test."""

    __test__ = False


class SinkTests:
    """`make_id` makes the events' ids."""

    def __init__(
        self,
        redis: RedisPipeline,
        make_id: Callable[[], str],
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._make_id = make_id
        self._answer_seconds = answer_seconds
        self._clock = clock

    async def run(self, sink: str) -> tuple[str, str]:
        """The event's id, and why it was not delivered; empty where it was. Raises TestUnanswered, RedisUnavailable."""
        event_id = self._make_id()
        answer = sink_test_answer(event_id)
        await self._redis.execute("HSET", SINK_TESTS, event_id, f"{int(self._clock() * 1000)} {sink}")
        try:
            async with asyncio.timeout(self._answer_seconds):
                said = await self._answer(answer)
        except TimeoutError:
            await self._redis.execute("HDEL", SINK_TESTS, event_id)
            raise TestUnanswered(
                f"no forwarder has answered for the sink {sink!r} within {self._answer_seconds:g} s: look whether one "
                "runs, and into its log"
            ) from None
        return event_id, said.decode()

    async def _answer(self, key: str) -> bytes:
        while True:
            said: bytes | None = await self._redis.execute("LPOP", key)
            if said is not None:
                return said
            await asyncio.sleep(_LOOK_SECONDS)
