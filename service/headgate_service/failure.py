"""The base of every cause for which something is not done, and what its kinds mean to a caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

RETRY_SECONDS = 1.0
MAX_FAULTS = 100
MAX_SHOWN = 3
MAX_SHOWN_CHARACTERS = 300
MAX_TOLD_BYTES = 4_000


class Code(Enum):
    """The kind of a failure, which decides what a caller can do about it. `api` maps it to the status of a call."""

    INVALID_ARGUMENT = auto()
    UNAUTHENTICATED = auto()
    PERMISSION_DENIED = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    FAILED_PRECONDITION = auto()
    OUT_OF_RANGE = auto()
    RESOURCE_EXHAUSTED = auto()
    DEADLINE_EXCEEDED = auto()
    UNAVAILABLE = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `path` names a field of the request, or is a JSON Pointer into a config, where the
    empty one means all of it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the config'}: {self.message}"


class Failure(Exception):
    """The base of every cause. `reason` is a stable word that callers see; `retry_after` is in seconds, None: a repeat
    does not help."""

    code: Code = Code.UNAVAILABLE
    reason: str = ""
    retry_after: float | None = None
    faults: Sequence[Fault] = ()

    def __init__(self, message: str = "", *, retry_after: float | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after
        if faults:
            self.faults = tuple(faults)

    @property
    def told(self) -> Sequence[Fault]:
        """The first faults, as many as fit into the status of a call, which travels in HTTP headers."""
        told: list[Fault] = []
        left = MAX_TOLD_BYTES
        for fault in self.faults:
            short = Fault(fault.path[:MAX_SHOWN_CHARACTERS], fault.message[:MAX_SHOWN_CHARACTERS])
            left -= len(short.path.encode()) + len(short.message.encode()) + 8
            if told and left < 0:
                break
            told.append(short)
        return told
