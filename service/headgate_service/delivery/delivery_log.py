"""What is logged of a sink's delivery: enough to see what is wrong, and no more than a person can read."""

import time
from collections.abc import Callable, Sequence

import structlog

from headgate_service.delivery.settlement import ProjectSettlement

_QUIET_SECONDS = 60.0
_DEAD_LINES = 20

_log = structlog.get_logger(__name__)


class DeliveryLog:
    """Of one sink, in all shards. `clock` gives seconds that only grow."""

    def __init__(self, sink: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._next_retry = 0.0
        self._dead_since = 0.0
        self._dead_lines = 0
        self._untold = 0

    def retrying(self, error: str, attempt: int, next_seconds: float) -> None:
        """A warning, once a minute."""
        now = self._clock()
        if now >= self._next_retry:
            self._next_retry = now + _QUIET_SECONDS
            _log.warning("sink retries", sink=self._sink, error=error, attempt=attempt, next=f"{next_seconds:.1f} s")

    def dead(self, settled: Sequence[ProjectSettlement]) -> None:
        """A line for the dead letters of each project, with the reason of the first: at most 20 a minute, the next of
        which says how many letters had none."""
        for one in settled:
            if not one.letters:
                continue
            now = self._clock()
            if now >= self._dead_since + _QUIET_SECONDS:
                self._dead_since, self._dead_lines = now, 0
            if self._dead_lines >= _DEAD_LINES:
                self._untold += one.dead
                continue
            self._dead_lines += 1
            fields = dict(zip(one.letters[0].fields[::2], one.letters[0].fields[1::2], strict=True))
            more = {"untold_before": self._untold} if self._untold else {}
            self._untold = 0
            _log.warning(
                "events became dead letters",
                sink=self._sink,
                project=one.project_id,
                events=one.dead,
                first=fields["hi"],
                **{"code": fields["code"], "reason": fields["message"], "attempts": fields["attempts"], **more},
            )
