"""What a forwarder measures."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from headgate_service.delivery.outlet import Outlet, State


class DeliveryMetrics:
    """The metrics of all sinks, in one registry. `clock` gives seconds since 1970."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._clock = clock
        labels = ["sink"]
        self.delivered = Counter(
            "headgate_sink_delivered_events", "Events that a sink wrote.", labels, registry=registry
        )
        self.dead = Counter(
            "headgate_sink_dead_events", "Events that became dead letters of a sink.", labels, registry=registry
        )
        self.filtered = Counter(
            "headgate_sink_filtered_events", "Events that a sink's route kept from it.", labels, registry=registry
        )
        self.route_errors = Counter(
            "headgate_sink_route_errors",
            "Filtered events that a sink's route could not tell, such as those without a property that it compares.",
            labels,
            registry=registry,
        )
        self.retries = Counter(
            "headgate_sink_retries", "Writes that did not succeed and come again.", labels, registry=registry
        )
        self.pending = Gauge(
            "headgate_sink_pending_events",
            "Accepted events that a sink has not settled, in the shards of this forwarder, as last counted.",
            labels,
            registry=registry,
        )
        self.lag = Gauge(
            "headgate_sink_lag_seconds",
            "Age of the oldest event that a sink is trying to write; 0 where it is writing none.",
            labels,
            registry=registry,
        )
        self.difference = Gauge(
            "headgate_sink_ledger_difference_events",
            "Accepted events that a sink's books do not explain, in the shards of this forwarder. Not 0: something is "
            "wrong.",
            labels,
            registry=registry,
        )
        self.backlog = Gauge(
            "headgate_sink_backlog_ratio",
            "The largest share of limits.log_bytes that one project's events take which wait for a sink; at 1 they "
            "expire, or the project's events are refused.",
            labels,
            registry=registry,
        )
        self.state = Gauge(
            "headgate_sink_state", "0 running, 1 retrying, 2 paused, 3 broken.", labels, registry=registry
        )

    def of(self, outlet: Outlet) -> "SinkMetrics":
        return SinkMetrics(self, outlet, self._clock)


class SinkMetrics:
    """The metrics of one sink, put together from its shards."""

    def __init__(self, metrics: DeliveryMetrics, outlet: Outlet, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._delivered = metrics.delivered.labels(outlet.name)
        self._dead = metrics.dead.labels(outlet.name)
        self._filtered = metrics.filtered.labels(outlet.name)
        self._route_errors = metrics.route_errors.labels(outlet.name)
        self._retries = metrics.retries.labels(outlet.name)
        self._pending = metrics.pending.labels(outlet.name)
        self._difference = metrics.difference.labels(outlet.name)
        self._backlog = metrics.backlog.labels(outlet.name)
        self._waiting: dict[int, int] = {}
        self._oldest_ms: dict[int, int] = {}
        metrics.lag.labels(outlet.name).set_function(self._lag)
        metrics.state.labels(outlet.name).set_function(lambda: float(State(outlet.status.state)))

    def settled(self, delivered: int, dead: int, filtered: int = 0, route_errors: int = 0) -> None:
        self._delivered.inc(delivered)
        self._dead.inc(dead)
        self._filtered.inc(filtered)
        self._route_errors.inc(route_errors)

    def retried(self) -> None:
        self._retries.inc()

    def waiting(self, shard: int, events: int) -> None:
        self._waiting[shard] = events
        self._pending.set(sum(self._waiting.values()))

    def oldest(self, shard: int, receive_ms: int | None) -> None:
        """The receive time of the oldest event under way in a shard; None: nothing is."""
        if receive_ms is None:
            self._oldest_ms.pop(shard, None)
        else:
            self._oldest_ms[shard] = receive_ms

    def audited(self, difference: int, backlog: float) -> None:
        """What the books of the shards held here leave unexplained, and the largest backlog as a part of its bound."""
        self._difference.set(difference)
        self._backlog.set(backlog)

    def forget(self, shard: int) -> None:
        """The shard is someone else's now."""
        self._oldest_ms.pop(shard, None)
        if self._waiting.pop(shard, None) is not None:
            self._pending.set(sum(self._waiting.values()))

    def _lag(self) -> float:
        # Asked from the thread that serves the metrics.
        oldest = min(tuple(self._oldest_ms.values()), default=None)
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest / 1000)
