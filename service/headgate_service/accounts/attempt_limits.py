"""How often a password may be tried in vain."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """Failed attempts in a window that starts with the first one."""

    account: int = 10
    address: int = 50
    window_ms: int = 15 * 60_000
