"""How long people stay signed in."""

from dataclasses import dataclass

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """Milliseconds. A session ends `idle_ms` after its last use, and `longest_ms` after its start in any case; a CLI's
    access token `cli_ms` after its making. `once_ms` is how long a one-time token waits to be used."""

    idle_ms: int = _DAY_MS
    longest_ms: int = 14 * _DAY_MS
    cli_ms: int = 90 * _DAY_MS
    once_ms: int = 10 * _MINUTE_MS

    @property
    def note_ms(self) -> int:
        """How old the noted time of the last use may be: each note is a write."""
        return min(5 * _MINUTE_MS, self.idle_ms // 10)
