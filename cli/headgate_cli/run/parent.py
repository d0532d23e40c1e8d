"""What a child of `headgate up` is handed by its parent, how it notices that the parent is gone, and lets it know that
it is alive itself."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from headgate_cli.settings.settings import Settings

# A child that has not drained by then ends all the same: the next `up` waits for it.
ORPHAN_GRACE = 30.0
BEAT_SECONDS = 2.0


class Handover(BaseModel):
    """All that a child runs by: the same for every child and every restart, whatever becomes of headgate.toml."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    settings: Settings

    def encode(self) -> bytes:
        """One line of JSON."""
        return self.model_dump_json().encode() + b"\n"


def take_handover(source: int = 0) -> Handover:
    """Read the parent's line from a file descriptor (standard input), and from then on end with the parent."""
    # Not through sys.stdin: a thread that waits in its buffer would make the interpreter abort at its end.
    line = b""
    while not line.endswith(b"\n") and (part := os.read(source, 65536)):
        line += part
    handover = Handover.model_validate_json(line)
    threading.Thread(target=_end_with, args=(source,), name="parent-watch", daemon=True).start()
    return handover


async def beating(serving: Coroutine[Any, Any, None], source: int = 0) -> None:
    """Run `serving`, and let the parent hear meanwhile that the event loop runs."""
    with socket.socket(fileno=os.dup(source)) as parent:
        beats = asyncio.create_task(_beat(parent))
        try:
            await serving
        finally:
            beats.cancel()


async def _beat(parent: socket.socket) -> None:
    while True:
        # A parent that was stopped has room for a while, and then heard enough; one that is gone shows elsewhere.
        with contextlib.suppress(OSError):
            parent.send(b".", socket.MSG_DONTWAIT)
        await asyncio.sleep(BEAT_SECONDS)


def _end_with(source: int) -> None:
    # What the parent had not heard yet when it ended makes its end an error.
    with contextlib.suppress(ConnectionError):
        while os.read(source, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_GRACE)
    os._exit(1)
