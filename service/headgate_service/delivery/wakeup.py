"""How a forwarder learns of news: a message when a project has some, and a look at the ready sets each second in case
one was missed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import redis.asyncio
import structlog
from redis.exceptions import RedisError, ResponseError

from headgate_service.delivery.shard import Shard
from headgate_service.errors import RedisUnavailable
from headgate_service.redis.keys import READY_CHANNEL
from headgate_service.redis.script import Fenced

# Between two looks there is at least this long, so that a busy project costs a look for many of its entries.
_MIN_SECONDS = 0.01
_RECONNECT_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Wakeup:
    """Pops the ready sets of the shards in `shards`, by tag, and tells each its projects with news.

    `on_lost` is called with a tag whose lease is found lost.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        shards: Mapping[str, Shard],
        seconds: float,
        on_lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._shards = shards
        self._seconds = seconds
        self._on_lost = on_lost
        self._tags: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._pop())

    async def _listen(self) -> None:
        while True:
            # redis-py's own PubSub costs several times as much a message, of which there may be one an event.
            connection: Any = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()
                await connection.send_command("SUBSCRIBE", READY_CHANNEL)
                while True:
                    message = await connection.read_response(timeout=self._seconds)
                    if message is not None and message[0] == b"message":
                        self._tags.add(message[2].decode())
                        self._wake.set()
            except (RedisError, OSError, TimeoutError):
                # The look each second goes on meanwhile.
                await asyncio.sleep(_RECONNECT_SECONDS)
            finally:
                await connection.disconnect(nowait=True)

    async def _pop(self) -> None:
        while True:
            tags = set(self._shards)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()
                tags &= self._tags
            except TimeoutError:
                pass
            self._wake.clear()
            self._tags.clear()
            await asyncio.gather(*(self._pop_one(tag) for tag in tags))
            await asyncio.sleep(_MIN_SECONDS)

    async def _pop_one(self, tag: str) -> None:
        shard = self._shards.get(tag)
        if shard is None:
            return
        try:
            shard.mark(await shard.log.pop_ready())
        except Fenced:
            self._on_lost(tag)
        except (RedisUnavailable, ResponseError):
            # What it popped, if it did, is known to nobody now.
            shard.scan_soon()
