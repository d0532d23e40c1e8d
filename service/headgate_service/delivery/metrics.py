"""What a forwarder measures."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from headgate_service.delivery.sink_runner import SinkRunner, State

# What all sinks of projects' own are called together: there may be thousands of them, which come and go.
DEPLOYED = "(deployed)"


class DeliveryMetrics:
    """The metrics of all sinks, in one registry. `clock` gives seconds since 1970."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sinks: dict[str, SinkMetrics] = {}
        self._deployed: SinkMetrics | None = None
        counter = functools.partial(Counter, labelnames=["sink"], registry=registry)
        gauge = functools.partial(Gauge, labelnames=["sink"], registry=registry)
        self.delivered = counter("headgate_sink_delivered_events", "Events that a sink wrote.")
        self.dead = counter("headgate_sink_dead_events", "Events that became dead letters of a sink.")
        self.filtered = counter("headgate_sink_filtered_events", "Events that a sink's route kept from it.")
        self.route_errors = counter(
            "headgate_sink_route_errors",
            "Filtered events that a sink's route could not tell, such as those without a property that it compares.",
        )
        self.letters_unkept = counter(
            "headgate_sink_dead_letters_unkept",
            "Dead letters of a sink that were not kept, or removed, because of limits.dead_letter_bytes or "
            "limits.dead_letter_total_bytes. Their events are counted as dead all the same.",
        )
        self.letter_bytes = Gauge(
            "headgate_dead_letter_bytes",
            "Bytes of Redis's memory that the dead letters of all projects take.",
            registry=registry,
        )
        self.kept = Gauge(
            "headgate_log_kept_ratio",
            "Part of log.keep_bytes that settled events may take now. Below 1: Redis's memory is over 80 % full.",
            registry=registry,
        )
        self.retries = counter("headgate_sink_retries", "Writes that did not succeed and come again.")
        self.pending = gauge(
            "headgate_sink_pending_events",
            "Accepted events that a sink has not settled, in the shards of this forwarder, at the last count.",
        )
        self.lag = gauge(
            "headgate_sink_lag_seconds",
            "Age in seconds of the oldest event that a sink is trying to write; 0 if it is writing none.",
        )
        self.difference = gauge(
            "headgate_sink_ledger_difference_events",
            "Accepted events that a sink's books do not explain, in the shards of this forwarder. Not 0: something is "
            "wrong.",
        )
        self.backlog = gauge(
            "headgate_sink_backlog_ratio",
            "The largest share of limits.log_bytes that one project's events take which wait for a sink; at 1 they "
            "expire, or the project's events are refused.",
        )
        self.state = gauge("headgate_sink_state", "0 running, 1 retrying, 2 paused, 3 broken.")

    def of(self, runner: SinkRunner) -> "SinkMetrics":
        made = SinkMetrics(self, runner.name, lambda: runner.status.state, self._clock)
        self._sinks[runner.name] = made
        return made

    def of_project_sink(self, runner: SinkRunner, deployed: Callable[[], Iterable[SinkRunner]]) -> "SinkMetrics":
        """A share in those of all projects' own sinks, which `deployed` gives."""
        if self._deployed is None:
            self._deployed = SinkMetrics(
                self,
                DEPLOYED,
                lambda: max((one.status.state for one in deployed()), default=State.RUNNING),
                self._clock,
            )
        return ProjectSinkMetrics(self._deployed, runner.name)

    def letters_removed(self, sink: str, letters: int) -> None:
        """Of a sink, or of a replay into one."""
        self.letters_unkept.labels(sink if sink in self._sinks else DEPLOYED).inc(letters)

    def audited(self, differences: Mapping[str, int], backlogs: Mapping[str, float]) -> None:
        """What the books of the shards held here leave unexplained, and the largest backlogs as parts of their bounds,
        by sink."""
        for name, metrics in self._sinks.items():
            metrics.audited(differences.get(name, 0), backlogs.get(name, 0.0))
        if self._deployed is not None:
            own = {*differences, *backlogs} - self._sinks.keys()
            self._deployed.audited(
                sum(differences.get(name, 0) for name in own), max((backlogs.get(name, 0.0) for name in own), default=0)
            )


class SinkMetrics:
    """The metrics of one sink, put together from its shards."""

    def __init__(
        self, metrics: DeliveryMetrics, name: str, state: Callable[[], State], clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._delivered = metrics.delivered.labels(name)
        self._dead = metrics.dead.labels(name)
        self._filtered = metrics.filtered.labels(name)
        self._route_errors = metrics.route_errors.labels(name)
        self._retries = metrics.retries.labels(name)
        self._letters_unkept = metrics.letters_unkept.labels(name)
        self._pending = metrics.pending.labels(name)
        self._difference = metrics.difference.labels(name)
        self._backlog = metrics.backlog.labels(name)
        self._waiting: dict[Hashable, int] = {}
        self._pending_events = 0
        self._oldest_ms: dict[Hashable, int] = {}
        metrics.lag.labels(name).set_function(self._lag)
        metrics.state.labels(name).set_function(lambda: float(state()))

    def settled(self, delivered: int, dead: int, filtered: int = 0, route_errors: int = 0) -> None:
        self._delivered.inc(delivered)
        self._dead.inc(dead)
        self._filtered.inc(filtered)
        self._route_errors.inc(route_errors)

    def retried(self) -> None:
        self._retries.inc()

    def letters_unkept(self, letters: int) -> None:
        self._letters_unkept.inc(letters)

    def waiting(self, shard: Hashable, events: int) -> None:
        self._pending_events += events - self._waiting.get(shard, 0)
        self._waiting[shard] = events
        self._pending.set(self._pending_events)

    def oldest(self, shard: Hashable, receive_ms: int | None) -> None:
        """The receive time of the oldest event under way in a shard; None: nothing is."""
        if receive_ms is None:
            self._oldest_ms.pop(shard, None)
        else:
            self._oldest_ms[shard] = receive_ms

    def audited(self, difference: int, backlog: float) -> None:
        """What the books of the shards held here leave unexplained, and the largest backlog as a part of its bound."""
        self._difference.set(difference)
        self._backlog.set(backlog)

    def forget(self, shard: Hashable) -> None:
        """The shard is someone else's now."""
        self._oldest_ms.pop(shard, None)
        self.waiting(shard, 0)
        del self._waiting[shard]

    def _lag(self) -> float:
        # Asked from the thread that serves the metrics.
        oldest = min(tuple(self._oldest_ms.values()), default=None)
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest / 1000)


class ProjectSinkMetrics(SinkMetrics):
    """One project's own sink's share in the metrics of all such sinks."""

    def __init__(self, together: SinkMetrics, name: str) -> None:
        self._together = together
        self._name = name

    def settled(self, delivered: int, dead: int, filtered: int = 0, route_errors: int = 0) -> None:
        self._together.settled(delivered, dead, filtered, route_errors)

    def retried(self) -> None:
        self._together.retried()

    def letters_unkept(self, letters: int) -> None:
        self._together.letters_unkept(letters)

    def waiting(self, shard: Hashable, events: int) -> None:
        self._together.waiting((self._name, shard), events)

    def oldest(self, shard: Hashable, receive_ms: int | None) -> None:
        self._together.oldest((self._name, shard), receive_ms)

    def forget(self, shard: Hashable) -> None:
        self._together.forget((self._name, shard))
