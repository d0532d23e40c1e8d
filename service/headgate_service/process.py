"""Garbage collection in a process that lives long."""

import contextlib
import gc
import json
import os
from pathlib import Path


def write_owner_file(path: Path, content: object) -> None:
    """Writes JSON that no one else can read, and that nobody sees half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def freeze_gc() -> None:
    """Keeps what lives until now out of garbage collection: it lives for ever, and to look at it again in every
    collection costs more than all the rest of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
