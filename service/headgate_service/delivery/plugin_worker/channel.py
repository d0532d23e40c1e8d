"""How messages cross the pipe: each after its length in four bytes, the highest first."""

import asyncio
import socket
import struct

from google.protobuf.message import Message
from headgate.v1 import plugin_pb2
from headgate_sinks import Batch, Limits, Misconfigured, Outcome, Reject, Repeats, Result, Retry, Spec, TooLarge


def write_of(batch: Batch) -> plugin_pb2.PluginWrite:
    return plugin_pb2.PluginWrite(
        id=batch.id,
        epoch=batch.epoch,
        shard=batch.shard,
        number=batch.number,
        seal_time_ms=batch.seal_time_ms,
        events=batch.events,
        attempt=batch.attempt,
    )


def batch_of(write: plugin_pb2.PluginWrite) -> Batch:
    return Batch(
        id=write.id,
        epoch=write.epoch,
        shard=write.shard,
        number=write.number,
        seal_time_ms=write.seal_time_ms,
        events=list(write.events),
        attempt=write.attempt,
    )


def description_of(spec: Spec, limits: Limits) -> plugin_pb2.SinkDescription:
    return plugin_pb2.SinkDescription(
        kind_limits=_limits_message(spec.limits),
        limits=_limits_message(limits),
        concurrency=spec.concurrency,
        repeats=spec.repeats.value,
        when_full=spec.when_full,
        write_seconds=spec.write_seconds,
        whole_answers=not spec.per_event,
    )


def described(message: plugin_pb2.SinkDescription) -> tuple[Spec, Limits]:
    """The spec of a sink's kind, and the sink's own limits."""
    spec = Spec(
        limits=_limits(message.kind_limits),
        concurrency=message.concurrency,
        repeats=Repeats(message.repeats),
        when_full="refuse" if message.when_full == "refuse" else "expire",
        write_seconds=message.write_seconds,
        per_event=not message.whole_answers,
    )
    return spec, _limits(message.limits)


def outcome_message(outcome: Outcome) -> plugin_pb2.SinkOutcome:
    match outcome:
        case Result(rejected=rejected):
            result = plugin_pb2.SinkResult(
                rejected=[
                    plugin_pb2.SinkReject(events=one.events, code=str(one.code), message=_text(one.message))
                    for one in rejected
                ]
            )
            return plugin_pb2.SinkOutcome(result=result)
        case Retry(message=message, after=after, events=events):
            retry = plugin_pb2.SinkRetry(message=_text(message), after=after, events=events or ())
            return plugin_pb2.SinkOutcome(retry=retry)
        case TooLarge(message=message):
            return plugin_pb2.SinkOutcome(too_large=plugin_pb2.SinkTooLarge(message=_text(message)))
        case Misconfigured(message=message):
            misconfigured = plugin_pb2.SinkMisconfigured(message=_text(message))
            return plugin_pb2.SinkOutcome(misconfigured=misconfigured)


def outcome_of(message: plugin_pb2.SinkOutcome) -> Outcome:
    match message.WhichOneof("outcome"):
        case "retry":
            retry = message.retry
            return Retry(retry.message, retry.after if retry.HasField("after") else None, tuple(retry.events) or None)
        case "misconfigured":
            return Misconfigured(message.misconfigured.message)
        case "too_large":
            return TooLarge(message.too_large.message)
        case "result":
            return Result(tuple(Reject(tuple(one.events), one.code, one.message) for one in message.result.rejected))
        case _:
            return Retry("the sink's process gave no answer that can be read")


def _text(text: object) -> str:
    # A stranger's message may be no text, or none that UTF-8 can bear.
    return str(text).encode("utf-8", "replace").decode()


def _limits_message(limits: Limits) -> plugin_pb2.SinkLimits:
    return plugin_pb2.SinkLimits(events=limits.events, bytes=limits.bytes, age=limits.age)


def _limits(message: plugin_pb2.SinkLimits) -> Limits:
    return Limits(events=message.events, bytes=message.bytes, age=message.age)


# A batch holds at most 16 MiB, unless a single event is larger; what is longer than this is not a message.
LONGEST = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class FrameUnreadable(Exception):
    """What came is not a frame: the other end is broken, and the pipe of no more use."""


def frame(message: Message) -> bytes:
    """The message as it crosses."""
    content = message.SerializeToString()
    return _LENGTH.pack(len(content)) + content


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message; None where the other end is gone. Raises FrameUnreadable."""
    try:
        length = _length(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def receive_frame(channel: socket.socket) -> bytes | None:
    """The same, where no event loop runs. Raises FrameUnreadable, and TimeoutError where the socket has a timeout."""
    head = _receive(channel, _LENGTH.size)
    return None if head is None else _receive(channel, _length(head))


def _receive(channel: socket.socket, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        try:
            part = channel.recv(min(count, 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _length(head: bytes) -> int:
    length: int = _LENGTH.unpack(head)[0]
    if length > LONGEST:
        raise FrameUnreadable(f"a message of {length} bytes was announced")
    return length
