"""The form of Explore: from the parameters of an address to a query, so that the address says it all."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

TYPES = {"timeseries": "Over time", "breakdown": "Breakdown", "metric": "One number", "funnel": "Funnel"}
MEASURES = {
    "count": "events",
    "unique_users": "unique users",
    "sessions": "sessions",
    "events_per_user": "events per user",
}
AGGREGATES = ("sum", "avg", "min", "max", "median", "p75", "p90", "p95", "p99", "count_distinct")
OPS = {
    "eq": "is",
    "neq": "is not",
    "gt": "is over",
    "gte": "is at least",
    "lt": "is under",
    "lte": "is at most",
    "contains": "contains",
    "not_contains": "does not contain",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "regex": "matches",
    "in": "is one of",
    "exists": "is there",
    "not_exists": "is not there",
}
INTERVALS = ("minute", "hour", "day", "week", "month")
COMPARISONS = {"previous_period": "the period before", "previous_year": "the year before"}
FILTERS, STEPS = 3, 6
_WITHOUT_VALUE = ("exists", "not_exists")
_USUAL_DAYS = 6

Given = Callable[[str, str], str]


def query_of(given: Given, project: str, timezone: str, now: datetime) -> dict[str, Any]:
    """The query that a form says; `given` answers with a parameter, or with what stands in for it."""
    kind = given("type", "timeseries")
    today = now.astimezone(UTC).date()
    zone = given("zone", "") or timezone
    query: dict[str, Any] = {
        "type": kind if kind in TYPES else "timeseries",
        "projectId": project,
        "dateRange": {
            "start": given("start", "") or (today - timedelta(days=_USUAL_DAYS)).isoformat(),
            "end": given("end", "") or today.isoformat(),
            "timezone": zone,
        },
    }
    if query["type"] == "funnel":
        query |= _funnel(given)
    else:
        query |= {"event": given("event", "") or "*", "metric": _metric(given)}
    if conditions := _filters(given):
        query["filter"] = conditions if query["type"] != "funnel" else None
    if query["type"] == "timeseries" and given("interval", "") in INTERVALS:
        query["interval"] = given("interval", "")
    key = given("by", "")
    if key or query["type"] == "breakdown":
        query["breakdown"] = {"key": key or "event", "limit": 10}
    if given("compare", "") in COMPARISONS:
        query["compare"] = given("compare", "")
    if given("test", ""):
        query["includeTest"] = True
    return {name: value for name, value in query.items() if value is not None}


def _metric(given: Given) -> Any:
    measure, key = given("metric", "count"), given("property", "")
    if measure in AGGREGATES:
        return {"agg": measure, "property": key}
    return measure if measure in MEASURES else "count"


def _filters(given: Given) -> list[dict[str, Any]]:
    found = []
    for place in range(1, FILTERS + 1):
        key, op = given(f"key{place}", ""), given(f"op{place}", "eq")
        if key and op in OPS:
            value = {} if op in _WITHOUT_VALUE else {"value": _value(op, given(f"value{place}", ""))}
            found.append({"key": key, "op": op, **value})
    return found


def _value(op: str, text: str) -> Any:
    """What was typed: a number, true, false or a text; a text in quotes is one even where it looks like a number."""
    if op == "in":
        return [_scalar(part.strip()) for part in text.split(",") if part.strip()]
    return _scalar(text) if op in ("eq", "neq", "gt", "gte", "lt", "lte") else text


def _scalar(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _funnel(given: Given) -> dict[str, Any]:
    steps: Sequence[dict[str, Any]] = [
        {"event": event} for place in range(1, STEPS + 1) if (event := given(f"step{place}", ""))
    ]
    days = given("window", "")
    window = {"value": int(days) if days.isdecimal() and len(days) < 5 else 7, "unit": "day"}
    return {"steps": steps, "window": window, "countBy": "session" if given("countby", "") == "session" else "user"}
