"""What a target is asked to do, so that a sink can show how it takes it. Events are named by their ids."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unavailable:
    """It takes nothing for now: it answers 503, or is not there."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    """It takes nothing for now, and says to wait `after` seconds, or where that is None does not say how long."""

    after: float | None


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """It takes nothing until a person changes something: a wrong password, a missing table, a folder that is none."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """It will never take these events, whatever they are."""


@dataclass(frozen=True, slots=True)
class Poison:
    """It will never take one event, and answers as it does to a batch that holds it."""

    event: str


@dataclass(frozen=True, slots=True)
class TakesSome:
    """It answers for each event: it will never take `refused`, takes `later` only once it is well, and the others."""

    refused: frozenset[str]
    later: frozenset[str]


@dataclass(frozen=True, slots=True)
class TakesOnly:
    """It takes batches of at most so many events, and answers larger ones that they are too large."""

    events: int


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """It takes the next batch, and its answer to that does not arrive."""


@dataclass(frozen=True, slots=True)
class Silent:
    """It does not answer, and whether it takes anything is its own affair."""


@dataclass(frozen=True, slots=True)
class KeepsContent:
    """No fault: it shows the events' names and properties as they came in."""


Fault = Unavailable | RateLimited | NotAllowed | Refuses | Poison | TakesSome | TakesOnly | AnswerLost | Silent
