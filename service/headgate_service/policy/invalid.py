"""A config that cannot be taken, and every fault that makes it so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_FAULTS = 100
MAX_SHOWN = 3
MAX_SHOWN_CHARACTERS = 300
MAX_TOLD_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong: `path` is a JSON Pointer into the config, empty for all of it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the config'}: {self.message}"


class PolicyInvalid(Exception):
    """A config with faults, at least one and at most 100 of them; its message names the first few."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(faults)[:MAX_FAULTS]
        shown = "; ".join(str(fault)[:MAX_SHOWN_CHARACTERS] for fault in self.faults[:MAX_SHOWN])
        more = len(self.faults) - MAX_SHOWN
        super().__init__(f"{shown}; and {more} more" if more > 0 else shown)

    @property
    def told(self) -> Sequence[ConfigFault]:
        """As many of the faults, in order, as the status of a call can bear, which travels in HTTP headers."""
        told: list[ConfigFault] = []
        left = MAX_TOLD_BYTES
        for fault in self.faults:
            short = ConfigFault(fault.path[:MAX_SHOWN_CHARACTERS], fault.message[:MAX_SHOWN_CHARACTERS])
            left -= len(short.path.encode()) + len(short.message.encode()) + 8
            if told and left < 0:
                break
            told.append(short)
        return told


def pointer(*steps: str | int) -> str:
    """The JSON Pointer of keys and places from the root."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
