"""Sends what is written in one turn of the event loop as one packet.

Whatever answers in pieces would make a system call and a packet of each. And answers that leave at once wake their
clients one by one, whose next requests then come one by one too: under load that doubled the kernel's share.
"""

import asyncio
from typing import Any

# More is a stream's, which has to feel when its client reads too slowly.
_HELD_BYTES = 64 * 1024


class BufferedTransport:
    """Stands before a transport. Order is kept; what closes or ends the stream sends first what was held back."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes > _HELD_BYTES:
            self._send()

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._bytes = 0
            # A client may have reset the connection since.
            if not self._transport.is_closing():
                self._transport.write(data)
