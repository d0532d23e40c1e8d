"""How long to wait before a batch is written again."""

from collections.abc import Callable
from dataclasses import dataclass

MAX_RETRY_AFTER = 3600.0
_MIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: anything up to a bound that doubles from `first` to `longest`, in seconds. `random` is in [0, 1)."""

    first: float
    longest: float
    random: Callable[[], float]

    def seconds(self, attempt: int, after: float | None = None) -> float:
        """The pause after the `attempt`-th failure, from 1. What the target asked for is honoured up to an hour."""
        if after is not None:
            return min(max(after, _MIN_SECONDS), MAX_RETRY_AFTER)
        bound = min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return float(max(self.random() * bound, _MIN_SECONDS))
