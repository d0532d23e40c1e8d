"""What the gateway counts, and GET /metrics. Names and their meaning are declared here and nowhere else."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from falcon.asgi import Request, Response
from headgate.v1 import outcome_pb2
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

# prometheus_client takes a lock at each count, for threads that do not exist here: 1 us each, several times a request.
# These are plain numbers, shown to it when it asks.


class PlainCounter(Collector):
    """A counter: `counts` by the values of its labels."""

    def __init__(self, registry: CollectorRegistry, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family


class PlainHistogram(Collector):
    """A histogram with these upper bounds of its buckets, ascending."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        labels: Sequence[str],
        bounds: Sequence[float],
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = bounds
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        if not labels:
            self._counts[()] = [0] * (len(bounds) + 1)
        registry.register(self)

    def add(self, values: tuple[str, ...], amount: float) -> None:
        """Count an amount under the values of the labels."""
        counts = self._counts.get(values)
        if counts is None:
            counts = self._counts[values] = [0] * (len(self._bounds) + 1)
        counts[bisect_left(self._bounds, amount)] += 1
        self._sums[values] += amount

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, counts in self._counts.items():
            buckets, total = [], 0
            for bound, count in zip((*map(float, self._bounds), float("inf")), counts, strict=True):
                total += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
            family.add_metric(values, buckets, self._sums[values])
        yield family


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_GATHERED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_OUTCOMES = {number: name.removeprefix("OUTCOME_").lower() for name, number in outcome_pb2.Outcome.items()}


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = PlainCounter(
            registry,
            "headgate_gateway_requests",
            "Requests to the ingestion APIs that were answered, by API and HTTP status.",
            ("dialect", "status"),
        )
        self._seconds = PlainHistogram(
            registry,
            "headgate_gateway_request_seconds",
            "Time from a request's headers to its answer, in seconds.",
            ("dialect",),
            _SECONDS,
        )
        self._events = PlainCounter(
            registry,
            "headgate_gateway_events",
            "Events of requests that the service or the gateway judged, by what became of them.",
            ("dialect", "outcome"),
        )
        self._warnings = PlainCounter(
            registry,
            "headgate_gateway_event_warnings",
            "Accepted events that do not fit the schema which their project's policy watches.",
            ("dialect",),
        )
        self._replaced = PlainCounter(
            registry,
            "headgate_gateway_replaced_surrogates",
            "Lone surrogates in accepted requests that were replaced by U+FFFD.",
            ("dialect",),
        )
        self._refusals = PlainCounter(
            registry,
            "headgate_gateway_refusals",
            "Requests that were refused whole, by cause.",
            ("dialect", "cause"),
        )
        self._gathered = PlainHistogram(
            registry,
            "headgate_gateway_gathered_requests",
            "HTTP requests that went to the service in one call.",
            (),
            _GATHERED,
        )
        self._shed = PlainCounter(
            registry,
            "headgate_gateway_shed",
            "Connections and bodies that were answered 503 because too many were under way.",
            ("what",),
        )
        self.in_flight = 0
        in_flight = Gauge(
            "headgate_gateway_in_flight_requests",
            "Requests to the ingestion APIs that are being answered.",
            registry=self.registry,
        )
        in_flight.set_function(lambda: self.in_flight)

    def answered(self, dialect: str, status: int, seconds: float) -> None:
        self._requests.counts[dialect, str(status)] += 1
        self._seconds.add((dialect,), seconds)

    def judged(self, dialect: str, outcome: "outcome_pb2.Outcome", events: int) -> None:
        self._events.counts[dialect, _OUTCOMES.get(outcome, "unspecified")] += events

    def warned(self, dialect: str, events: int) -> None:
        self._warnings.counts[(dialect,)] += events

    def replaced(self, dialect: str, surrogates: int) -> None:
        self._replaced.counts[(dialect,)] += surrogates

    def refused(self, dialect: str, cause: str) -> None:
        self._refusals.counts[dialect, cause] += 1

    def shed(self, what: str) -> None:
        self._shed.counts[(what,)] += 1

    def gathered(self, requests: int) -> None:
        self._gathered.add((), requests)


class MetricsResource:
    """GET /metrics in Prometheus' text format."""

    methods = ("GET", "HEAD")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._metrics.registry)

    on_head = on_get

    def operations(self) -> dict[str, Any]:
        return {
            "get": {
                "operationId": "getMetrics",
                "summary": "Metrics of this gateway process",
                "tags": ["Operations"],
                "responses": {
                    "200": {
                        "description": "Prometheus' text exposition format",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
            }
        }
