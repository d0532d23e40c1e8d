"""What became of a batch that a sink was given.

`write` returns a `Result`, which speaks of each event, or one of `Retry`, `Misconfigured` and `TooLarge`, which may as
well be raised. Any other exception counts as `Retry()`.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reject:
    """Events that the target will never take: they become dead letters, and are not sent again by themselves.

    `events` are their places in the batch, from 0. `code` is short and stable, such as `http_422`; `message` is for the
    person who looks at the dead letters, and holds no secret.
    """

    events: tuple[int, ...]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """The batch was written, but for the events that are rejected; an event rejected twice takes the first reason."""

    rejected: tuple[Reject, ...] = ()


class Retry(Exception):
    """Not written, or not known to be: the same batch comes again after `after` seconds, or where that is None after a
    growing pause. Waits of more than an hour are cut to one.

    `events` names, by their places in the batch, the only events that this is true of, where the others are written for
    certain. Those named come again, in their order, as a batch of their own with an id of its own; or the whole batch
    comes again as it was, which a sink must expect in any case. Events to reject may be named among them: they are
    rejected when they come again. None: all of the batch. Raises ValueError where none is named.
    """

    def __init__(self, message: str = "", after: float | None = None, events: Iterable[int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after = after
        self.events = None if events is None else tuple(sorted(set(events)))
        if self.events == ():
            raise ValueError("a Retry of no events: return a Result where all are written")


class Misconfigured(Exception):
    """Not written, and it will not be until a person changes something: the sink pauses, keeps everything, shows
    `message`, and looks again every minute. Say what to change, and no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(Exception):
    """Not written, because the target takes no batch of this size: it comes again in two halves, each a batch of its
    own with an id of its own. A single event that is too large becomes a dead letter."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


Outcome = Result | Retry | Misconfigured | TooLarge
