"""What an entry of the log holds: a version byte and a `LogEntry`, compressed where that pays."""

import threading
from collections.abc import Iterator, Sequence

import msgspec
import zstandard
from headgate.v1 import event_pb2, log_pb2

CHUNK_BYTES = 512 * 1024

_PLAIN = b"\x01"
_ZSTD = b"\x02"
_COMPRESS_FROM_BYTES = 2048
# An entry is at most a chunk, or one event that is larger; nothing that Headgate wrote expands to more.
_MAX_EXPANDED_BYTES = 64 * 1024 * 1024
_threads = threading.local()
# Not for several threads at once: entries are encoded in the event loop.
_compressor = zstandard.ZstdCompressor(level=1)


class EntryUnreadable(Exception):
    """A payload that no version of Headgate known here wrote, or that was damaged."""


class Chunk(msgspec.Struct, frozen=True):
    """The payload of one entry and how many events it holds."""

    payload: bytes
    events: int


def encode(dialect: event_pb2.Dialect, events: Sequence[event_pb2.Event]) -> list[Chunk]:
    """The entries that hold `events`, in order, each of at most 512 KiB before compression where its events allow."""
    return encode_entry(log_pb2.LogEntry(dialect=dialect, events=events))


def encode_entry(entry: log_pb2.LogEntry) -> list[Chunk]:
    """The same of events that stand in an entry already: copying them takes four times as long as encoding them."""
    whole = entry.SerializeToString()
    if len(whole) <= CHUNK_BYTES:
        # Nearly always: to ask each event for its size would cost as much as the encoding.
        return [_chunk(whole, len(entry.events))]
    parts = (
        (part, log_pb2.LogEntry(dialect=entry.dialect, dialect_name=entry.dialect_name, events=part))
        for part in _parts(entry.events)
    )
    return [_chunk(body.SerializeToString(), len(part)) for part, body in parts]


def decode(payload: bytes) -> tuple[log_pb2.LogEntry, int]:
    """The entry behind a payload, and its bytes before compression. Raises EntryUnreadable."""
    version, body = payload[:1], payload[1:]
    try:
        if version == _ZSTD:
            body = _expander().decompress(body, max_output_size=_MAX_EXPANDED_BYTES)
        elif version != _PLAIN:
            raise EntryUnreadable(f"a log entry has version byte {version!r}, which this release does not know")
        return log_pb2.LogEntry.FromString(body), len(body)
    except (zstandard.ZstdError, ValueError) as error:
        raise EntryUnreadable(f"a log entry is damaged: {error}") from error


def _expander() -> zstandard.ZstdDecompressor:
    # To make one costs as much as to expand an entry of a hundred events. One thread may use it at a time.
    found: zstandard.ZstdDecompressor | None = getattr(_threads, "expander", None)
    if found is None:
        found = _threads.expander = zstandard.ZstdDecompressor()
    return found


def _chunk(body: bytes, events: int) -> Chunk:
    if len(body) > _COMPRESS_FROM_BYTES:
        packed = _compressor.compress(body)
        if len(packed) < len(body):
            return Chunk(_ZSTD + packed, events)
    return Chunk(_PLAIN + body, events)


def _parts(events: Sequence[event_pb2.Event]) -> Iterator[Sequence[event_pb2.Event]]:
    start, size = 0, 0
    for index, event in enumerate(events):
        event_size = event.ByteSize()
        if index > start and size + event_size > CHUNK_BYTES:
            yield events[start:index]
            start, size = index, 0
        size += event_size
    yield events[start:]
