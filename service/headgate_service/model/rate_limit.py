"""A limit on requests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` of one key in `window_ms` milliseconds, which are whole seconds."""

    requests: int
    window_ms: int
