"""The names of everything Headgate keeps in Redis: one place, so that a reader can find what writes what.

`T` is the tag of a project's shard, such as `{s07}`. It is the Cluster hash tag, so that one script may touch all keys
of a project and its shard's. A project's shard is chosen at its creation and never changes.
"""

from dataclasses import dataclass
from functools import lru_cache

# Sorted set of the forwarders that run, by owner; the score is when an entry is no longer believed, in milliseconds.
FORWARDERS = "headgate:forwarders"

# Hash of the sinks that an operator paused: since when, in milliseconds since 1970.
PAUSED_SINKS = "headgate:sinks:paused"

# Counter, raised when there are dead letters to send again or a replay was started or cancelled.
COMMANDS = "headgate:errands"

# Hash of the tests that are asked for: id of the event -> when, in milliseconds since 1970, a space, and the sink.
SINK_TESTS = "headgate:sink-tests"

# Hash of replays by id: StoredReplay.
REPLAYS = "headgate:replays"


def running_queries(project_id: str) -> str:
    """Sorted set of the queries of a project that run, by when they are no longer believed, in milliseconds."""
    return f"headgate:queries:{project_id}"


def sink_test_answer(event_id: str) -> str:
    """List of one: what came of a test, empty where it was delivered."""
    return f"headgate:sink-test:{event_id}"


def replay_sink(replay_id: str) -> str:
    """What a replay is called where the name of a sink is asked for; no sink is called so."""
    return f"replay.{replay_id}"


def replay_of(sink: str) -> str:
    """The id of the replay that is called so; empty where it is a sink."""
    return sink.removeprefix("replay.") if sink.startswith("replay.") else ""


def sink_status(sink: str) -> str:
    """Hash: state, last_error, since (milliseconds since 1970); held: JSON of the projects that wait alone, with
    why; others: the state for all other projects."""
    return f"headgate:sink:{sink}:status"


SHARDS = 64

# Channel that carries a shard's tag when one of its projects has news and none was known of.
READY_CHANNEL = "headgate:ready"


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """The keys that the projects of one shard share.

    `epoch` holds the name of the shard's data: random hex, the one that the control DB knows. Where it is not there,
    counters were lost: nothing is taken in until they are put back, under a name that `restoring` holds meanwhile. It
    is part of every batch id. `changed` is a sorted set of projects, by when their counters changed or must be looked
    at, in ms. `remembered` and `letters` are sorted sets of projects, by the bytes of what is remembered of their
    clients, and of their dead letters.
    """

    tag: str
    epoch: str
    restoring: str
    changed: str
    ready: str
    projects: str
    lease: str
    fence: str
    remembered: str
    letters: str

    def seals(self, sink: str) -> str:
        return f"{self.tag}:seal:{sink}"

    def retries(self, sink: str) -> str:
        return f"{self.tag}:retry:{sink}"

    def project(self, project_id: str) -> "ProjectKeys":
        return project_keys(self.tag, project_id)


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """The keys of one project.

    `dedup` and `records` are hashes of the four generations of event ids and idempotency records; `remembered` is a
    hash of the number of the newest one, and of when each began and the bytes it takes. `letters` is a hash of the
    bytes that the dead letters of each sink take.
    """

    project_id: str
    prefix: str
    log: str
    use: str
    cursors: str
    dead: str
    letters: str
    remembered: str
    dedup: tuple[str, str, str, str]
    records: tuple[str, str, str, str]

    def rate(self, key: str) -> str:
        return f"{self.prefix}:r:{key}"

    @property
    def refused(self) -> str:
        """List of RefusedRequest, the latest first."""
        return f"{self.prefix}:refused"

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
    names = ("epoch", "restoring", "changed", "ready", "projects", "lease", "fence", "remembered", "letters")
    return ShardKeys(tag, *(f"{tag}:{name}" for name in names))


@lru_cache(maxsize=65536)
def project_keys(tag: str, project_id: str) -> ProjectKeys:
    prefix = f"{tag}:{project_id}"
    log, use, cursors, dead, letters = (f"{prefix}:{name}" for name in ("log", "use", "cur", "dead", "letters"))
    dedup = (f"{prefix}:d0", f"{prefix}:d1", f"{prefix}:d2", f"{prefix}:d3")
    records = (f"{prefix}:i0", f"{prefix}:i1", f"{prefix}:i2", f"{prefix}:i3")
    own = (log, use, cursors, dead, letters, f"{prefix}:remembered")
    return ProjectKeys(project_id, prefix, *own, dedup, records)
