"""Reads the log back as canonical events: the same ones, byte for byte, each time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

from headgate_service.log.entry import decode
from headgate_service.redis.keys import ProjectKeys

CLOCK_LEEWAY_SECONDS = 24 * 3600
# Of an id, a sampling weight and two times.
_MAX_OTHER_BYTES = 38 + 10 + 2 * 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a project's log.

    `seq` and `log_bytes` count the project's accepted events and payload bytes through this entry; `skips` are the
    places of duplicates in the payload, which are not events of the log.
    """

    project_id: str
    id: str
    ms: int
    seq: int
    log_bytes: int
    skips: frozenset[int]
    payload: bytes

    def events(self) -> list[event_pb2.Event]:
        """Its accepted events, as they were stored. Raises EntryUnreadable."""
        return self.read().events

    def read(self) -> "Read":
        """Raises EntryUnreadable."""
        stored, size = decode(self.payload)
        events: list[event_pb2.Event] = list(stored.events)
        if self.skips:
            events = [event for index, event in enumerate(events) if index not in self.skips]
        completion = Completion(self.project_id, stored.dialect, self.ms, stored.dialect_name)
        for ordinal, event in enumerate(events, self.seq - len(events) + 1):
            completion.complete(event, ordinal)
        return Read(events, size + len(events) * completion.most_bytes)


class Read(NamedTuple):
    """The accepted events of an entry, and bytes of protobuf that they take together at most."""

    events: list[event_pb2.Event]
    most_bytes: int


class Completion:
    """Completes the stored events of one entry, in place, with what the reader knows from elsewhere.

    `ms` is the entry's time, which is the receive time.
    """

    def __init__(self, project_id: str, dialect: event_pb2.Dialect, ms: int, dialect_name: str = "") -> None:
        self._received = timestamp(ms)
        self._latest_seconds = ms // 1000 + CLOCK_LEEWAY_SECONDS
        self._made_ids = MadeIds(project_id, ms)
        # One merge costs less than to set each field. None of them is ever stored.
        self._common = event_pb2.Event(
            project_id=project_id, dialect=dialect, receive_time=self._received, dialect_name=dialect_name
        ).SerializeToString()
        # By so many bytes an event grows at most.
        self.most_bytes = len(self._common) + _MAX_OTHER_BYTES

    def complete(self, event: event_pb2.Event, ordinal: int) -> event_pb2.Event:
        """`ordinal`: the event's place among the project's accepted ones."""
        event.MergeFromString(self._common)
        if not event.event_id:
            event.event_id = self._made_ids.of(ordinal)
        seconds = event.occur_time.seconds
        if seconds > self._latest_seconds:
            event.client_time.CopyFrom(event.occur_time)
            event.occur_time.CopyFrom(self._received)
        elif not seconds and not event.HasField("occur_time"):
            event.occur_time.CopyFrom(self._received)
        if not event.sample_weight:
            event.sample_weight = 1.0
        return event


class MadeIds:
    """The ids of events whose client gave none: UUIDs of version 7 whose random part follows from their place in the
    log, so that a retried answer, a resent batch and a replay all bear the same one."""

    def __init__(self, project_id: str, ms: int) -> None:
        time = ms.to_bytes(6, "big").hex()
        self._head = f"{time[:8]}-{time[8:]}-7"
        self._digest = blake2b(f"{project_id}/".encode(), digest_size=10)

    def of(self, ordinal: int | str) -> str:
        """Of an event that has no place in the log, `ordinal` is what else tells it from others."""
        digest = self._digest.copy()
        digest.update(str(ordinal).encode())
        tail = digest.hexdigest()
        return f"{self._head}{tail[1:4]}-{_VARIANT[tail[4]]}{tail[5:8]}-{tail[8:]}"


# The first two of these four bits are always 10.
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def materialise(
    event: event_pb2.Event, project_id: str, dialect: event_pb2.Dialect, ms: int, ordinal: int
) -> event_pb2.Event:
    """See Completion."""
    return Completion(project_id, dialect, ms).complete(event, ordinal)


def made_event_id(project_id: str, ms: int, ordinal: int | str) -> str:
    """See MadeIds."""
    return MadeIds(project_id, ms).of(ordinal)


def timestamp(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def write_timestamp(timestamp: Timestamp, ms: int) -> None:
    """The same in place, which takes a third of the time."""
    timestamp.seconds, timestamp.nanos = ms // 1000, ms % 1000 * 1_000_000


async def read_entries(redis: Any, keys: ProjectKeys, after: str, count: int, last: str = "+") -> list[Entry]:
    """At most `count` entries of a project's log after the id `after` (exclusive; "0-0": from its start) through
    `last` (inclusive). `redis` is a redis.asyncio client that returns bytes."""
    raw = await redis.xrange(keys.log, min=f"({after}", max=last, count=count)
    return [entry(keys.project_id, entry_id, fields) for entry_id, fields in raw]


def entry(project_id: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """An entry from what Redis returned for it."""
    seq, size, skips, *_ = fields[b"m"].decode().split(" ")
    name = entry_id.decode()
    return Entry(
        project_id, name, int(name.partition("-")[0]), int(seq), int(size), frozenset(_indexes(skips)), fields[b"b"]
    )


def _indexes(skips: str) -> Iterator[int]:
    return map(int, skips.split(",")) if skips else iter(())
