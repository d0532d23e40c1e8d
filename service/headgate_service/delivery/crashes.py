"""What to do with a batch with which a sink's process crashes each time, so that one event stops no sink for ever."""

from enum import Enum, auto

# A process may crash for reasons of its own: so often, one after the other, is no chance.
CRASHES = 3
# More events in a row than these are not the events' fault.
MOST_GIVEN_UP = 10
PLUGIN_CRASHED = "plugin_crashed"


class Verdict(Enum):
    """What a crash says of the batch that was written."""

    AGAIN = auto()
    HALVE = auto()
    GIVE_UP = auto()
    PAUSE = auto()


class Crashes:
    """Of one sink, in all shards. A batch that was there when the process crashed is written alone from then on, so
    that a crash is its own; only those count.

    One that crashes it three times is halved, its halves at their first crash, down to the event, which is given up
    after three. A sink that crashes with ten events in a row, and writes nothing between, is itself at fault: it
    pauses.
    """

    def __init__(self) -> None:
        self._given_up = 0

    def written(self) -> None:
        """The sink can write."""
        self._given_up = 0

    def judge(self, events: int, crashes: int, suspect: bool, may_pause: bool) -> Verdict:
        """Of a batch of so many events with which it crashed so often while it wrote nothing else. `suspect`: it is
        part of one that was halved for this."""
        if events > 1:
            return Verdict.HALVE if crashes >= (1 if suspect else CRASHES) else Verdict.AGAIN
        if crashes < CRASHES:
            return Verdict.AGAIN
        if may_pause and self._given_up >= MOST_GIVEN_UP:
            return Verdict.PAUSE
        self._given_up += 1
        return Verdict.GIVE_UP
