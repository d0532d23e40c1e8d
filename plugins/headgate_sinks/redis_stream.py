"""The `redis_stream` sink: one entry per event, appended to a stream.

A batch and the record that it was written go in by one script: a batch that comes again is known and not appended
twice, as long as the Redis keeps both.
"""

import asyncio
from importlib.resources import files

from pydantic import Field, SecretStr
from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.retry import Retry as Retries
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_line
from headgate_sinks.sdk.sink import Batch, Config, Misconfigured, Outcome, Repeats, Result, Retry, Sink, Spec

_REFUSED = "the Redis refuses the user or password in `url`, or what that user does: correct `url` or its rights"
_NO_STREAM = "the key of `stream`, or the record beside it, holds something else: choose another `stream`"
_MISCONFIGURED_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.AuthenticationError, _REFUSED),
    (exceptions.AuthorizationError, _REFUSED),
    (exceptions.NoPermissionError, _REFUSED),
    (exceptions.MovedError, "`url` is a node of a Redis Cluster: give that of a Redis or Valkey that stands alone"),
)
# Anywhere in the message, since a script's error begins with words of its own.
_MISCONFIGURED_WORDS = {
    "WRONGTYPE": _NO_STREAM,
    "NOPERM": _REFUSED,
    "permissions": _REFUSED,
    "nknown command": "the Redis knows no scripts: it must be Redis 5 or later, or Valkey",
    "nknown Redis command": "the Redis knows no streams: it must be Redis 5 or later, or Valkey",
}


class RedisStreamConfig(Config):
    """`[sinks.config]` of a Redis stream."""

    url: SecretStr = Field(
        description="The Redis or Valkey, `redis://`, `rediss://` or `unix://`, with its user and password: `env:NAME`,"
        " `file:PATH` or the URL itself."
    )
    stream: str = Field("headgate:events", min_length=1, description="The stream's key; it is made if absent.")
    max_length: int | None = Field(
        None, ge=1, description="About how many entries the stream keeps: older ones are cut off. Absent: all."
    )
    timeout: float = Field(10.0, gt=0, le=50, description="Seconds to wait for the Redis, connected or not.")


class RedisStreamSink(Sink[RedisStreamConfig]):
    """Appends each batch by one script."""

    use = "redis_stream"
    Config = RedisStreamConfig
    spec = Spec(repeats=Repeats.NUMBER)

    _client: redis.Redis
    _append: AsyncScript

    async def open(self) -> None:
        self._client = await self._connected()
        script = files("headgate_sinks").joinpath("redis_stream.lua").read_text(encoding="utf-8")
        self._append = self._client.register_script(script)

    async def check(self) -> None:
        async with await self._connected() as client:
            try:
                kind = await client.type(self.config.stream)
            except (exceptions.RedisError, OSError) as error:
                raise told(error) from None
        # As text where the URL asks for that.
        if kind not in (b"none", b"stream", "none", "stream"):
            raise Misconfigured(_NO_STREAM)

    async def write(self, batch: Batch) -> Outcome:
        arguments: list[str | bytes | int] = [
            f"{batch.epoch}/{self.place.name}/{batch.shard}",
            batch.number,
            batch.id,
            self.config.max_length or "",
        ]
        for event in batch.events:
            arguments += (event.event_id, event.name, event.project_id, event_line(event))
        try:
            await self._append([self.config.stream, record_key(self.config.stream)], arguments)
        except (exceptions.RedisError, OSError) as error:
            return told(error)
        return Result()

    async def close(self) -> None:
        await self._client.aclose()

    async def _connected(self) -> redis.Redis:
        url = await asyncio.to_thread(self.place.secret, self.config.url)
        try:
            client = redis.Redis.from_url(
                url,
                socket_timeout=self.config.timeout,
                socket_connect_timeout=self.config.timeout,
                retry=Retries(NoBackoff(), 0),
            )
            # An argument that is not known is found here.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):
            raise Misconfigured(
                "`url` is not the URL of a Redis: it must begin with redis://, rediss:// or unix://, and have no "
                "unknown arguments"
            ) from None
        return client


def record_key(stream: str) -> str:
    """The key of the record beside a stream, in the same slot."""
    return f"{stream}:written" if "{" in stream else f"{{{stream}}}:written"


def told(error: Exception) -> Retry | Misconfigured:
    """What an error of Redis or of the way there says of the batch. Its own words stay out: they may be a secret's."""
    cause: BaseException | None = error
    # One that stops a connection from being opened is the cause of the one that is raised.
    while cause is not None:
        for kind, message in _MISCONFIGURED_KINDS:
            if isinstance(cause, kind):
                return Misconfigured(message)
        cause = cause.__cause__
    if isinstance(error, exceptions.ResponseError):
        for words, message in _MISCONFIGURED_WORDS.items():
            if words in str(error):
                return Misconfigured(message)
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in str(error):
        return Retry("the Redis is out of memory")
    if isinstance(error, exceptions.ResponseError):
        return Retry(f"the Redis answered with an error: {type(error).__name__}")
    return Retry(f"no answer from the Redis: {type(error).__name__}")


@hookimpl
def headgate_register_sinks() -> list[type[RedisStreamSink]]:
    return [RedisStreamSink]
