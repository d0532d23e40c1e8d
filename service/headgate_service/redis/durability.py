"""Whether a Redis that others run keeps what it acknowledges."""

import asyncio
from collections.abc import Mapping

import structlog
from redis.exceptions import ResponseError

from headgate_service.errors import RedisUnavailable
from headgate_service.redis.pipeline import RedisPipeline

# Setting -> what it must be, and what any other value means.
REQUIRED = {
    "appendonly": ("yes", "events that were acknowledged are lost when Redis ends"),
    "appendfsync": ("always", "events that were acknowledged in the last second or more are lost when the power fails"),
    "no-appendfsync-on-rewrite": (
        "no",
        "events that were acknowledged while Redis rewrites its file are lost when the power fails",
    ),
    "maxmemory-policy": ("noeviction", "Redis may throw away events and limits to make room"),
}

_log = structlog.get_logger()


def shortfalls(settings: Mapping[str, str]) -> list[str]:
    """What is wrong with a Redis of these settings, in words; one that is absent is not judged."""
    return [
        f"{name} is {settings[name]} and must be {value}: {meaning}"
        for name, (value, meaning) in REQUIRED.items()
        if name in settings and settings[name] != value
    ]


async def warn_of_shortfalls(redis: RedisPipeline, interval: float = 1.0) -> None:
    """Ask Redis once, as soon as it answers, how it is set; log what is wrong with it, or why it does not answer."""
    silent = False
    while True:
        try:
            settings = await _settings(redis)
        except RedisUnavailable as unavailable:
            if not silent:
                _log.error("no events can be taken yet", reason=str(unavailable))
            silent = True
            await asyncio.sleep(interval)
            continue
        except ResponseError as refusal:
            _log.warning(
                "REDIS DOES NOT TELL ITS SETTINGS: make sure that they are right", refusal=str(refusal), must_be=_WANTED
            )
            return
        for shortfall in shortfalls(settings):
            _log.error("REDIS MAY LOSE EVENTS", setting=shortfall)
        return


_WANTED = ", ".join(f"{name} {value}" for name, (value, _) in REQUIRED.items())


async def _settings(redis: RedisPipeline) -> dict[str, str]:
    # Redis before 7 takes one name at a time.
    replies = await asyncio.gather(*(redis.execute("CONFIG", "GET", name) for name in REQUIRED))
    return {reply[0].decode(): reply[1].decode() for reply in replies if reply}
