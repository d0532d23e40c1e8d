"""What the lanes of a forwarder have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field

from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.batch_reader import EventCache
from headgate_service.delivery.recent_settlements import RecentSettlements


@dataclass(frozen=True, slots=True)
class LaneContext:
    """The settings are those of Config.

    `clock` gives seconds since 1970. `on_step` is called with the name of each step that is done.
    """

    backoff: Backoff
    config_version: int
    scan: float
    pause: float
    expire_check: float
    backlog_bytes: int
    letter_bytes: int
    cache: EventCache
    clock: Callable[[], float]
    on_step: Callable[[str], None]
    recent: RecentSettlements = field(default_factory=RecentSettlements)
