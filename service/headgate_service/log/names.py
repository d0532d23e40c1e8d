"""The names of everything Headgate keeps in Redis: one place, so that a reader can find what writes what.

`T` is the tag of a project's shard, such as `{s07}`. It is the Cluster hash tag, so that one script may touch all keys
of a project and its shard's. A project's shard is chosen at its creation and never changes.
"""

from dataclasses import dataclass
from functools import lru_cache

SHARDS = 64

# Random hex made once per set of data; a Redis that was emptied has another one. Part of every batch id.
EPOCH = "headgate:epoch"

# Channel that carries a shard's tag when one of its projects has news and none was known of.
READY_CHANNEL = "headgate:ready"


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """The keys that the projects of one shard share."""

    tag: str
    ready: str
    projects: str
    lease: str
    fence: str

    def seals(self, sink: str) -> str:
        return f"{self.tag}:seal:{sink}"

    def retries(self, sink: str) -> str:
        return f"{self.tag}:retry:{sink}"

    def project(self, project_id: str) -> "ProjectKeys":
        return project_keys(self.tag, project_id)


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """The keys of one project."""

    project_id: str
    prefix: str
    log: str
    use: str
    cursors: str
    dead: str
    dedup: tuple[str, str, str, str]

    def idempotency(self, key: str) -> str:
        return f"{self.prefix}:i:{key}"

    def rate(self, key: str) -> str:
        return f"{self.prefix}:r:{key}"

    def dead_ranges(self, sink: str) -> str:
        return f"{self.prefix}:dx:{sink}"

    def filtered(self, sink: str, block: int) -> str:
        """The key of one block of FilteredBits."""
        return f"{self.prefix}:fx:{sink}:{block}"


@lru_cache(maxsize=SHARDS)
def shard_keys(shard: int) -> ShardKeys:
    """The keys of shard 0..63."""
    if not 0 <= shard < SHARDS:
        raise ValueError(f"shard {shard} is not one of 0..{SHARDS - 1}")
    tag = f"{{s{shard:02d}}}"
    return ShardKeys(tag, f"{tag}:ready", f"{tag}:projects", f"{tag}:lease", f"{tag}:fence")


@lru_cache(maxsize=65536)
def project_keys(tag: str, project_id: str) -> ProjectKeys:
    prefix = f"{tag}:{project_id}"
    dedup = (f"{prefix}:d0", f"{prefix}:d1", f"{prefix}:d2", f"{prefix}:d3")
    return ProjectKeys(project_id, prefix, f"{prefix}:log", f"{prefix}:use", f"{prefix}:cur", f"{prefix}:dead", dedup)
