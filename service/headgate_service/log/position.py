"""How far a sink is in a project's log."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK_EVENTS = 65_536
# Then a receipt no longer tells what was filtered from what was delivered.
KEPT_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class FilteredBits:
    """A piece of a block, from the byte `offset` on, the lowest bit of a byte first. Its first and its last byte may
    hold bits of other events too, which this leaves as they are."""

    block: int
    offset: int
    bits: bytes


def filtered_bits(ordinals: Sequence[int]) -> list[FilteredBits]:
    """The bits of ascending ordinals, of which those between the first and the last are none of anyone else's."""
    by_block: dict[int, list[int]] = {}
    for ordinal in ordinals:
        by_block.setdefault(ordinal // BLOCK_EVENTS, []).append(ordinal % BLOCK_EVENTS)
    pieces: list[FilteredBits] = []
    for block, places in by_block.items():
        offset = places[0] >> 3
        bits = bytearray((places[-1] >> 3) - offset + 1)
        for place in places:
            bits[(place >> 3) - offset] |= 1 << (place & 7)
        pieces.append(FilteredBits(block, offset, bytes(bits)))
    return pieces


def spans(before: int, last: int) -> list[tuple[int, int, int]]:
    """The (block, first place, last place) that the ordinals after `before` through `last` take up."""
    first_block, last_block = (before + 1) // BLOCK_EVENTS, last // BLOCK_EVENTS
    return [
        (
            block,
            max(before + 1 - block * BLOCK_EVENTS, 0),
            min(last - block * BLOCK_EVENTS, BLOCK_EVENTS - 1),
        )
        for block in range(first_block, last_block + 1)
    ]


def count_set(raw: bytes, first: int, last: int) -> int:
    """How many bits are set from place `first` through `last`, in the bytes of a block that hold those places."""
    bits = int.from_bytes(raw, "little") >> (first & 7)
    return (bits & ((1 << (last - first + 1)) - 1)).bit_count()


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

    @property
    def entry_number(self) -> tuple[int, int]:
        """The entry's id, to compare."""
        ms, _, number = self.entry.partition("-")
        return int(ms), int(number or 0)

    def __str__(self) -> str:
        return f"{self.entry} {self.seq} {self.bytes}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError."""
        entry, seq, size = text.split(" ")
        if not _ENTRY.fullmatch(entry):
            raise ValueError(f"{entry!r} is not an entry id")
        return cls(entry, int(seq), int(size))


def oldest(trimmed_seq: int, trimmed_bytes: int) -> Position:
    """The position of a sink that is new to a project: before the oldest entry that is still there."""
    return Position("0-0", trimmed_seq, trimmed_bytes)
