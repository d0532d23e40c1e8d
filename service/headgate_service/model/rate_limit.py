"""TODO"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests of a key in a window of so many milliseconds (whole seconds)."""

    requests: int
    window_ms: int
