"""What Redis holds of a project, for the report of its end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from headgate_service.delivery_control.sinks import Sinks
from headgate_service.log.names import shard_keys
from headgate_service.log.redis_pipeline import RedisPipeline
from headgate_service.project import Project


@dataclass(frozen=True, slots=True)
class Remains:
    """Events and payload bytes in the log, dead letters, and by sink the events that it has not got yet."""

    log_events: int
    log_bytes: int
    dead_letters: int
    pending: Mapping[str, int]


async def remains_of(redis: RedisPipeline, sinks: Sinks, project: Project) -> Remains:
    """Raises RedisUnavailable, ResponseError."""
    keys = shard_keys(project.shard).project(project.id)
    views, use, letters = await asyncio.gather(
        sinks.view([project]),
        redis.execute("HMGET", keys.use, "seq", "trimmed_seq", "bytes", "trimmed_bytes"),
        redis.execute("XLEN", keys.dead),
    )
    seq, trimmed_seq, size, trimmed_size = (int(value or 0) for value in use)
    pending = {view.rule.name: books.pending for view in views for _, books in view.books}
    return Remains(seq - trimmed_seq, size - trimmed_size, letters, pending)
