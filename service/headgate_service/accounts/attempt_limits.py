"""How often a password may be tried in vain."""

from dataclasses import dataclass

_QUARTER_HOUR_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """Failed attempts in a window, in milliseconds, that starts with the first one."""

    account: int = 10
    account_window_ms: int = _QUARTER_HOUR_MS
    address: int = 50
    address_window_ms: int = _QUARTER_HOUR_MS
