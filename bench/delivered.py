"""What the log says of delivery."""

from collections.abc import Iterable
from typing import Any

from headgate_service.redis.keys import SHARDS, ProjectKeys, shard_keys
from redis import Redis


def settled(redis: "Redis", sinks: Iterable[str]) -> bool:
    """Whether every accepted event of every project is settled at each sink."""
    fields = [f"c:{sink}" for sink in sinks]
    if not fields:
        return True
    with redis.pipeline(transaction=False) as pipeline:
        for keys in project_keys(redis):
            pipeline.hget(keys.use, "seq")
            pipeline.hmget(keys.cursors, fields)
        found: list[Any] = pipeline.execute()
    # A cursor is "id seq bytes".
    return all(
        cursor is not None and cursor.split()[1] == seq
        for seq, cursors in zip(found[::2], found[1::2], strict=True)
        for cursor in cursors
    )


def delivered(redis: "Redis", sink: str) -> int:
    """Events that a sink has taken, of all projects."""
    with redis.pipeline(transaction=False) as pipeline:
        for keys in project_keys(redis):
            pipeline.hget(keys.cursors, f"delivered:{sink}")
        return sum(int(count or 0) for count in pipeline.execute())


def project_keys(redis: "Redis") -> list[ProjectKeys]:
    """The keys of every project that ever had an event."""
    shards = [shard_keys(number) for number in range(SHARDS)]
    with redis.pipeline(transaction=False) as pipeline:
        for shard in shards:
            pipeline.smembers(shard.projects)
        members: list[Any] = pipeline.execute()
    return [shard.project(name.decode()) for shard, names in zip(shards, members, strict=True) for name in names]
