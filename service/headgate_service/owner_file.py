"""Files for the owner alone: keys of the first start, the address that was bound."""

import contextlib
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
