"""How far a sink is in a project's log."""

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"\d+-\d+")


@dataclass(frozen=True, slots=True)
class Position:
    """Everything through this is done.

    `seq` counts the project's accepted events. `entry` is the last log entry all of whose events are done, and `bytes`
    the project's payload bytes through it; so where an entry is divided between two batches, `seq` is ahead of both.
    """

    entry: str
    seq: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.entry} {self.seq} {self.bytes}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        entry, seq, size = text.split(" ")
        if not _ENTRY.fullmatch(entry):
            raise ValueError(f"{entry!r} is no entry id")
        return cls(entry, int(seq), int(size))


def oldest(trimmed_seq: int, trimmed_bytes: int) -> Position:
    """The position of a sink that is new to a project: before the oldest entry that is still there."""
    return Position("0-0", trimmed_seq, trimmed_bytes)
