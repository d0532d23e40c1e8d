"""How long to wait before a child is started again."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double from `first` to `longest` seconds, each cut at random so that children do not march in step."""

    first: float = 0.2
    longest: float = 15.0
    jitter: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, at least one: from half of the doubled wait to all of it."""
        whole: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return whole * (0.5 + self.jitter() / 2)
