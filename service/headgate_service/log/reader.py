"""Reads the log back as canonical events: the same ones, byte for byte, each time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2

from headgate_service.log.entry import decode
from headgate_service.log.names import ProjectKeys

CLOCK_LEEWAY_SECONDS = 24 * 3600


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
        stored = decode(self.payload)
        kept = [event for index, event in enumerate(stored.events) if index not in self.skips]
        first = self.seq - len(kept) + 1
        for ordinal, event in enumerate(kept, first):
            materialise(event, self.project_id, stored.dialect, self.ms, ordinal)
        return kept


def materialise(
    event: event_pb2.Event, project_id: str, dialect: event_pb2.Dialect, ms: int, ordinal: int
) -> event_pb2.Event:
    """Completes a stored event, in place, with what the reader knows from elsewhere.

    `ms` is the entry's time, which is the receive time; `ordinal` the event's place among the project's accepted ones.
    """
    event.project_id = project_id
    event.dialect = dialect
    received = event.receive_time
    received.seconds = seconds = ms // 1000
    received.nanos = ms % 1000 * 1_000_000
    if not event.event_id:
        event.event_id = made_event_id(project_id, ms, ordinal)
    if not event.HasField("occur_time"):
        event.occur_time.CopyFrom(received)
    elif event.occur_time.seconds - seconds > CLOCK_LEEWAY_SECONDS:
        event.client_time.CopyFrom(event.occur_time)
        event.occur_time.CopyFrom(received)
    if not event.sample_weight:
        event.sample_weight = 1.0
    return event


def made_event_id(project_id: str, ms: int, ordinal: int | str) -> str:
    """The id of an event whose client gave none: a UUID of version 7 whose random part follows from its place in the
    log, so that a retried answer, a resent batch and a replay all bear the same one. Of an event that has no place
    there, `ordinal` is what else tells it from others."""
    tail = bytearray(blake2b(f"{project_id}/{ordinal}".encode(), digest_size=10).digest())
    tail[0] = (tail[0] & 0x0F) | 0x70
    tail[2] = (tail[2] & 0x3F) | 0x80
    text = (ms.to_bytes(6, "big") + tail).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timestamp(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


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
