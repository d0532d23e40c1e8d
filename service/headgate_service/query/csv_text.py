"""Results as a table in CSV: fixed columns for each type, and a line of their names."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# What a spreadsheet takes for a formula at the start of a text that a visitor sent, also after blanks.
_FORMULA = ("=", "+", "-", "@")
_BLANKS = " \t\r\n\v\f\0\ufeff\u00a0"

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "metric": ("value", "compareValue", "change"),
    "breakdown": ("key", "isOther", "value", "share", "compareValue", "change"),
    "timeseries": ("key", "isOther", "period", "time", "value"),
    "paths": ("step", "event", "to", "count"),
    "retention": ("key", "isOther", "time", "size", "period", "value"),
    "funnel": (
        "key",
        "isOther",
        "period",
        "step",
        "event",
        "name",
        "count",
        "conversion",
        "stepConversion",
        "dropoff",
        "medianSeconds",
    ),
}


def csv_text(kind: str, results: Sequence[Mapping[str, Any]]) -> str:
    """`period` is `current` or `compare`. What is null is empty; a text that begins as a formula gets an apostrophe."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS[kind])
    rows = _ROWS[kind](results)
    for row in rows:
        table.writerow([_cell(row.get(name)) for name in COLUMNS[kind]])
    return written.getvalue()


def _values(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        compare = result.get("compare", {})
        yield {**result, "compareValue": compare.get("value"), "change": compare.get("change")}


def _series(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result, period, part in _periods(results):
        for point in part["data"]:
            yield {**_key(result), "period": period, **point}


def _steps(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result, period, part in _periods(results):
        for step in part["steps"]:
            yield {**_key(result), "period": period, "step": step["index"], **step}


def _ways(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Places, without `to`, and then the steps between them."""
    for result in results:
        yield from result["nodes"]
        for edge in result["edges"]:
            yield {**edge, "event": edge["from"]}


def _cohorts(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        for cohort in result["cohorts"]:
            for period, value in enumerate(cohort["values"]):
                yield {**_key(result), "time": cohort["time"], "size": cohort["size"], "period": period, "value": value}


def _periods(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    for result in results:
        yield result, "current", result
        if "compare" in result:
            yield result, "compare", result["compare"]


def _key(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": result["key"], "isOther": result.get("isOther")}


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and (value.lstrip(_BLANKS).startswith(_FORMULA) or value.startswith(("\t", "\r"))):
        return f"'{value}"
    return value


_ROWS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], Iterator[Mapping[str, Any]]]] = {
    "metric": _values,
    "breakdown": _values,
    "timeseries": _series,
    "funnel": _steps,
    "retention": _cohorts,
    "paths": _ways,
}
