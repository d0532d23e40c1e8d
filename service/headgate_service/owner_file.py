"""Small files for their owner only, which are whole at every moment, after a power cut too."""

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_owner_file(path: Path, content: object) -> None:
    """Write JSON, in the place of what was there."""
    draft = _draft(path, json.dumps(content, indent=2) + "\n")
    draft.replace(path)
    _sync(path.parent)


def make_owner_file(path: Path, make: Callable[[], str]) -> None:
    """Write a text where there is no file yet. Of several processes that do so at once, one's text stays."""
    if path.exists():
        return
    draft = _draft(path, make())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    _sync(path.parent)


def _draft(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
