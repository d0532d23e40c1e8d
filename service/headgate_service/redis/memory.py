"""How much of the memory that Redis may use is taken."""

from dataclasses import dataclass

from headgate_service.redis.pipeline import RedisPipeline


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes, as Redis compares them before a write. `bound` is its `maxmemory`; 0: it has none."""

    used: int
    bound: int

    @property
    def ratio(self) -> float:
        return self.used / self.bound if self.bound else 0.0


async def memory_of(redis: RedisPipeline) -> Memory:
    """Raises RedisUnavailable, ResponseError."""
    reply: bytes = await redis.execute("INFO", "memory")
    fields = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    # Buffers of replicas and of the append-only file do not count against the bound.
    used = int(fields["used_memory"]) - int(fields.get("mem_not_counted_for_evict", 0))
    return Memory(used, int(fields.get("maxmemory", 0)))
