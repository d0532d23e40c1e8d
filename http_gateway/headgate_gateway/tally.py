"""Counters and histograms that cost a request next to nothing.

prometheus_client takes a lock at each count, for threads that do not exist here: 1 us each, several times a request.
These are plain numbers, shown to it when it asks.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Tally(Collector):
    """A counter: `counts` by the values of its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family


class Spread(Collector):
    """A histogram with these upper bounds of its buckets, ascending."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = bounds
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        if not labels:
            self._counts[()] = [0] * (len(bounds) + 1)

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
