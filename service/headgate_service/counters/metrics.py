"""The metrics of counters, declared once."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from headgate_service.counters.copying import Copying
from headgate_service.counters.epochs import Epochs


class CounterMetrics:
    """What tells an operator how much an emptied Redis would give back, and whether one was emptied."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.age = Gauge(
            "headgate_counters_copy_age_seconds",
            "Seconds since the counters were last copied to the control DB, by whichever service did. What was counted "
            "since is what quotas and books would lose with Redis; over 30: look why it is not copied.",
            registry=registry,
        )
        self.missing = Gauge(
            "headgate_counters_missing_shards",
            "Shards, of 64, whose counters Redis does not hold. Not 0: their projects' events are answered 503 until "
            "they are put back.",
            registry=registry,
        )
        self.put_back = Counter(
            "headgate_counters_put_back_projects",
            "Projects whose counters this service put back into a Redis that had lost them.",
            registry=registry,
        )

    def show(self, copying: Copying, epochs: Epochs, now_ms: Callable[[], int]) -> None:
        """Shows those of a service. `now_ms` is milliseconds since 1970."""
        began_ms = now_ms()
        self.age.set_function(lambda: max(now_ms() - (copying.copied_ms or began_ms), 0) / 1000)
        self.missing.set_function(lambda: float(len(epochs.missing)))
