"""A pipeline over one redis-py connection: all commands of one turn of the event loop leave in one write.

redis-py keeps what it is good at (URLs, authentication, TLS); what it costs per command is avoided here.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import hiredis
import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from headgate_service.errors import RedisUnavailable
from headgate_service.redis.url import check_redis_url

# A deadline may come early by such a part of itself.
_TIMER_STEP = 0.05
# Before the address is asked again for a primary.
_READ_ONLY_SECONDS = 0.1

_log = structlog.get_logger()

# Sends commands by a connection, and returns their replies, of which each may be a ResponseError.
Exchange = Callable[[Sequence[Sequence[bytes | str | int]]], Awaitable[list[Any]]]
Greeting = Callable[[Exchange], Awaitable[None]]


class RedisPipeline:
    """Commands in, futures of their replies out, in order.

    A connection is opened when a command needs one. `deadline` bounds, in seconds, a connection attempt, a write and
    the wait for each reply; past it the connection is dropped and every command under way gets RedisUnavailable. At
    most `backlog` commands may be under way; one more gets RedisUnavailable at once.
    """

    def __init__(self, url: str, deadline: float = 5.0, backlog: int = 10_000) -> None:
        # The deadlines are kept here: redis-py's own uses asyncio.wait_for, which in Python 3.11 can swallow the
        # cancellation that ends the writer, and then everybody would wait for ever.
        self._pool = ConnectionPool.from_url(
            check_redis_url(url), protocol=2, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        # What is wrong with the URL is said now, and not by a connection that is never made.
        self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._deadline = deadline
        self._greet: Greeting | None = None
        self._backlog = backlog
        self._unsent: deque[bytes] = deque()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def greet(self, greeting: Greeting) -> None:
        """Has each new connection begin with it: what it sends goes before all else. It may raise as a command does."""
        self._greet = greeting

    def execute(self, *command: bytes | str | int) -> "asyncio.Future[Any]":
        """The reply's future. It raises ResponseError where Redis refused the command, else RedisUnavailable."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= self._backlog:
            future.set_exception(RedisUnavailable(f"{self._backlog} commands are already waiting for Redis"))
            return future
        self._unsent.append(hiredis.pack_command(command))  # type: ignore[arg-type]
        self._waiting.append(future)
        self._wake.set()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="redis-pipeline")
        return future

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        self._fail(RedisUnavailable("the connection to Redis is closed"))
        await self._pool.aclose()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                async with asyncio.timeout(self._deadline):
                    await connection.connect()
                if self._greet is not None:
                    await self._greet(functools.partial(self._exchange, connection))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._write(connection))
                    tasks.create_task(self._read(connection))
            except* _ReadOnly:
                self._fail(RedisUnavailable("Redis is a read-only replica: its address must lead to a primary"))
                await asyncio.sleep(_READ_ONLY_SECONDS)
            except* (RedisError, OSError, TimeoutError) as errors:
                self._fail(RedisUnavailable(f"Redis does not answer: {_first(errors)}"))
            # A defect here must not leave the callers waiting, nor those after them.
            except* Exception as errors:  # noqa: BLE001
                _log.exception("the pipeline to Redis failed")
                self._fail(RedisUnavailable(f"the pipeline to Redis failed: {_first(errors)}"))
            finally:
                await connection.disconnect(nowait=True)

    async def _exchange(self, connection: Any, commands: Sequence[Sequence[bytes | str | int]]) -> list[Any]:
        replies: list[Any] = []
        async with asyncio.timeout(self._deadline):
            packed = [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
            await connection.send_packed_command(packed, check_health=False)
            for _ in commands:
                try:
                    replies.append(await connection.read_response(disconnect_on_error=False))
                except ResponseError as error:
                    if _is_read_only(error):
                        raise _ReadOnly from error
                    replies.append(error)
        return replies

    async def _write(self, connection: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            commands = list(self._unsent)
            self._unsent.clear()
            if commands:
                self._sent.set()
                async with asyncio.timeout(self._deadline):
                    await connection.send_packed_command(commands, check_health=False)

    async def _read(self, connection: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._sent.wait()
            self._sent.clear()
            async with asyncio.timeout(self._deadline) as limit:
                began = loop.time()
                while len(self._waiting) > len(self._unsent):
                    reply: Any
                    try:
                        reply = await connection.read_response(disconnect_on_error=False)
                    except ResponseError as error:
                        if _is_read_only(error):
                            # The address leads to a primary again at some time, or at once to another one.
                            raise _ReadOnly from error
                        reply = error
                    # Replies that came together need no timer each.
                    if (now := loop.time()) - began > self._deadline * _TIMER_STEP:
                        began = now
                        limit.reschedule(now + self._deadline)
                    future = self._waiting.popleft()
                    if future.done():
                        continue
                    if isinstance(reply, ResponseError):
                        future.set_exception(reply)
                    else:
                        future.set_result(reply)

    def _fail(self, error: RedisUnavailable) -> None:
        self._unsent.clear()
        self._wake.clear()
        self._sent.clear()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)


class _ReadOnly(Exception):
    """The other end was a primary, or never was one."""


def _is_read_only(error: ResponseError) -> bool:
    # Of a script, versions differ in how they say it.
    return isinstance(error, ReadOnlyError) or "READONLY" in str(error)


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if str(error) else TimeoutError("no reply in time")
