"""What a store process is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """`folder` holds the data. `socket` is where it is always reached, by whoever owns the folder; `host` and `port`
    where it is besides, with `password`; None: nowhere.

    `memory` is what the engine may use, in bytes, and `query_memory` what one query may. `queries` run at once and as
    many inserts as `inserts`; `waiting` more of each wait their turn. Times are in seconds.
    """

    folder: Path
    socket: Path
    host: str | None = None
    port: int = 0
    password: str = field(default="", repr=False)
    ready_file: Path | None = None
    memory: int = 2048 * MIB
    queries: int = 4
    inserts: int = 2
    waiting: int = 64
    query_seconds: float = 60.0
    body_bytes: int = 256 * MIB
    answer_bytes: int = 256 * MIB
    drain: float = 10.0

    def __post_init__(self) -> None:
        """Raises ValueError where others would be let in without a password."""
        if self.host is not None and not self.password:
            raise ValueError("the store's address is open to whoever reaches it: it needs a password")

    @property
    def query_memory(self) -> int:
        return self.memory // 2
