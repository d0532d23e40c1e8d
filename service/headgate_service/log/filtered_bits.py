"""Which of a project's accepted events a sink's route kept from it: a bit for each ordinal, in blocks."""

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
