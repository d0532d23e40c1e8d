"""What a child of `headgate up` is handed by its parent, and how it notices that the parent is gone."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

from headgate_cli.settings import Settings

# A child that has not drained by then ends all the same: the next `up` waits for it.
ORPHAN_GRACE = 30.0


class Handover(BaseModel):
    """All that a child runs by: the same for every child and every restart, whatever becomes of headgate.toml."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    settings: Settings

    def encode(self) -> bytes:
        """One line of JSON."""
        return self.model_dump_json().encode() + b"\n"


def take_handover(stream: BinaryIO | None = None) -> Handover:
    """Read the parent's line from standard input, and from then on end with the parent."""
    source = stream or sys.stdin.buffer
    handover = Handover.model_validate_json(source.readline())
    threading.Thread(target=_end_with, args=(source,), name="parent-watch", daemon=True).start()
    return handover


def _end_with(source: BinaryIO) -> None:
    while source.read(1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(ORPHAN_GRACE)
    os._exit(1)
