"""A config that cannot be taken, and every fault that makes it so."""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One thing that is wrong: `path` is a JSON Pointer into the config, empty for all of it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the config'}: {self.message}"


class PolicyInvalid(Exception):
    """A config with faults, at least one and at most 100 of them."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(faults)[:MAX_FAULTS]
        super().__init__("; ".join(map(str, self.faults)))


def pointer(*steps: str | int) -> str:
    """The JSON Pointer of keys and places from the root."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
