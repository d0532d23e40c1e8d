"""The Lua scripts of the forwarder, most of which only the holder of a shard's lease gets through."""

from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from headgate_service.redis.pipeline import RedisPipeline


class Fenced(Exception):
    """The shard's lease is no longer ours: someone else delivers it now."""


class Stale(Exception):
    """What Redis holds is not what was read last: read it again."""


class Script:
    """One script of the folder `scripts` of a package, sent by its digest."""

    def __init__(self, name: str, package: str) -> None:
        self._text = files(package).joinpath("scripts", f"{name}.lua").read_bytes()
        self._digest = sha1(self._text, usedforsecurity=False).hexdigest()

    async def run(self, redis: RedisPipeline, keys: list[str], *arguments: bytes | str | int) -> Any:
        """Raises Fenced, Stale, RedisUnavailable, ResponseError."""
        try:
            try:
                return await redis.execute("EVALSHA", self._digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await redis.execute("EVAL", self._text, len(keys), *keys, *arguments)
        except ResponseError as error:
            cause = str(error).partition(" ")[0]
            if cause == "FENCED":
                raise Fenced from None
            if cause in ("STALE", "GONE"):
                raise Stale from None
            raise
