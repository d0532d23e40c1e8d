"""A plot of numbers over time, which the page's script draws and its table tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from headgate_gateway.web.templates import words


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one name, one for each time; None: there is none."""

    name: str
    values: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """`times` are seconds since 1970."""

    times: Sequence[int]
    series: Sequence[Series]
    bars: bool = False
    labels: Sequence[str] = field(default_factory=list)

    @property
    def json(self) -> str:
        """What the script reads."""
        series = [{"name": one.name, "values": list(one.values), "dashed": one.dashed} for one in self.series]
        return orjson.dumps({"times": list(self.times), "series": series, "bars": self.bars}).decode()

    @property
    def empty(self) -> bool:
        """Whether there is nothing but zeros."""
        return not any(any(one.values) for one in self.series)

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        """The table beside it: a time and the number of each series."""
        times = [datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z") for second in self.times]
        return [(time, [one.values[place] for one in self.series]) for place, time in enumerate(times)]


def plot_of(answer: Mapping[str, Any]) -> Plot:
    """The plot of a timeseries as /api/query answers it."""
    times: list[int] = []
    series: list[Series] = []
    for result in answer["results"]:
        data = result["data"]
        times = times or [_second(point["time"]) for point in data]
        name = named(result) if answer["meta"]["query"].get("breakdown") else "all"
        series.append(Series(name, [point["value"] for point in data]))
        if compared := (result.get("compare") or {}).get("data"):
            values = [point["value"] for point in compared][: len(times)]
            before = [*values, *[None] * (len(times) - len(values))]
            series.append(Series(f"{name}, before", before, dashed=True))
    return Plot(times, series)


def named(result: Mapping[str, Any]) -> str:
    """The group of a result, for people."""
    if result.get("isOther"):
        return "all others"
    if "key" not in result:
        return "value"
    key = result["key"]
    if key is None:
        return "(none)"
    text = key if isinstance(key, str) else orjson.dumps(key).decode()
    return words(text) if text.startswith("DIALECT_") else text


def _second(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())
