"""How messages cross the pipe: each after its length in four bytes, the highest first."""

import asyncio
import socket
import struct

from google.protobuf.message import Message

# A batch holds at most 16 MiB, unless a single event is larger; what is longer than this is no message.
LONGEST = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class FrameUnreadable(Exception):
    """What came is no frame: the other end is broken, and the pipe of no more use."""


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
