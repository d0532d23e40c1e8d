"""How many projects there are, for what is divided between them."""

import asyncio

from redis.exceptions import ResponseError

from headgate_service.log.names import SHARDS, shard_keys
from headgate_service.log.redis_pipeline import RedisPipeline, RedisUnavailable


class Census:
    """Counts the projects that ever had an entry, every `seconds`; `projects` is at least 1."""

    def __init__(self, redis: RedisPipeline, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self.projects = 1

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                counts = await asyncio.gather(
                    *(self._redis.execute("SCARD", shard_keys(shard).projects) for shard in range(SHARDS))
                )
                self.projects = max(1, sum(counts))
            except (RedisUnavailable, ResponseError):
                # The last count will do until Redis is back.
                pass
            await asyncio.sleep(self._seconds)
