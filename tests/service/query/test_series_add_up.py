"""A range may end with a bucket of any length: the bars equal the reference, and add up to the total."""

from datetime import date, timedelta
from typing import Any

import pytest
from agreement import agree
from conftest import Filled
from headgate_service.errors import QueryOverLimit
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import Query, parse_query
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import Happened, answer
from strategies import INTERVALS, Maker, compares
from test_equal_to_reference import bounded

# The last day of a range, in a zone of its own: of months, of 25 and 23 hours, of a change by half an hour, of one at
# midnight, before and after a day that was skipped, of a leap year.
ENDS = (
    ("UTC", "2026-03-31"),
    ("UTC", "2026-02-28"),
    ("Europe/Berlin", "2026-10-25"),
    ("Europe/Berlin", "2026-03-29"),
    ("America/New_York", "2026-11-01"),
    ("America/St_Johns", "2010-11-07"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("America/Sao_Paulo", "2018-02-17"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Pacific/Apia", "2011-12-31"),
    ("Asia/Kathmandu", "2026-07-31"),
    ("Asia/Beirut", "2021-10-31"),
    ("America/Havana", "2024-11-03"),
    ("Asia/Kolkata", "2024-02-29"),
)
METRICS: tuple[Any, ...] = (
    *("count", "count", "unique_users", "sessions", "events_per_user"),
    *({"agg": agg, "property": "n"} for agg in ("sum", "sum", "avg", "min", "max", "median", "p75", "p99")),
    {"agg": "count_distinct", "property": "a"},
)
HOUR = 3_600_000


@st.composite
def series(draw: st.DrawFn) -> tuple[dict[str, Any], list[Happened]]:
    zone, day = draw(st.sampled_from(ENDS))
    interval = draw(st.sampled_from(INTERVALS))
    last = date.fromisoformat(day)
    days = draw(st.sampled_from({"minute": [0], "hour": [0, 1, 7], "day": [1, 2, 30]}.get(interval, [27, 58, 89, 400])))
    start = last - timedelta(days=days)
    if interval == "month":
        start = start.replace(day=1)
    if interval == "week":
        start -= timedelta(days=start.weekday())
    end = draw(st.sampled_from([day, f"{day}T23:59:59.999", f"{day}T23:59:00", f"{day}T12:30:00", f"{day}T00:30:00"]))
    dates = {"start": str(start), "end": end, "timezone": zone}
    request = {
        "type": "timeseries",
        "projectId": "p",
        "event": "*",
        "dateRange": dates,
        "interval": interval,
        "metric": draw(st.sampled_from(METRICS)),
        "compare": draw(compares),
        "breakdown": draw(st.none() | st.just({"key": "$utm_source", "limit": 1})),
    }
    period = parse(request | {"type": "metric", "interval": None, "breakdown": None}).period
    maker = Maker(draw(st.integers(0, 2**32)))
    late = max(period.start, period.end - 26 * HOUR)
    spans = ((late, period.end - late, 30), (period.start, period.end - period.start, 20))
    events = [event for start_ms, span, count in spans for event in maker.events(count, start_ms, span, [1.0])]
    return request, [*events, Happened(period.end - 1), Happened(period.end), Happened(period.start)]


def parse(request: dict[str, Any]) -> Query:
    try:
        return parse_query(request, "UTC")
    except QueryOverLimit:
        assume(False)
        raise


def results(filled: Filled, query: Query, events: list[Happened]) -> list[dict[str, Any]]:
    return filled.run(answered(query, Scope(filled.table, filled.project(events), query), filled.rows)).results


@bounded
@given(case=series())
def test_bars_equal_the_reference_and_add_up(filled: Filled, case: tuple[dict[str, Any], list[Happened]]) -> None:
    request, events = case
    query = parse(request)
    found = results(filled, query, events)
    agree(found, answer(query, events))
    if query.metric.name in ("count", "sum"):
        for part in [*found, *(one["compare"] for one in found if "compare" in one)]:
            bars = [bar["value"] for bar in part["data"]]
            # Floats of opposite signs may leave what rounding took of them.
            assert sum(bars) == pytest.approx(part["total"], abs=1e-12 * sum(map(abs, bars)))


@pytest.mark.parametrize(
    ("zone", "start", "end", "interval", "bars"),
    [
        ("UTC", "2026-02-01", "2026-03-31", "month", [1, 4]),
        ("UTC", "2026-04-01", "2026-05-31", "month", [1, 4]),
        ("Europe/Berlin", "2026-10-23", "2026-10-25", "day", [1, 0, 4]),
        ("Europe/Berlin", "2026-10-12", "2026-10-25", "week", [1, 4]),
    ],
)
def test_the_last_bar_is_longer(filled, zone, start, end, interval, bars):
    dates = {"start": start, "end": end, "timezone": zone}
    request = {"type": "timeseries", "projectId": "p", "event": "*", "dateRange": dates, "interval": interval}
    query = parse(request)
    ends = [query.period.end - 1 - minute * 60_000 for minute in range(4)]
    (found,) = results(filled, query, [Happened(ms) for ms in (query.period.start, *ends)])
    assert [bar["value"] for bar in found["data"]] == bars
    assert found["total"] == 5


@pytest.mark.parametrize(
    ("agg", "smaller", "larger"),
    [
        ("sum", [2**64 - 1, 2], [2**63, 2**63, 2]),
        ("max", [2**53], [2**53 + 1]),
        ("max", [2.0**53], [2**53 + 1]),
        ("min", [2**63], [2**63 + 1]),
    ],
)
def test_groups_are_ranked_by_exact_integers(filled, agg, smaller, larger):
    """Their values are equal as floats. The names would put the smaller group first."""
    request = {
        "type": "timeseries",
        "projectId": "p",
        "event": "*",
        "metric": {"agg": agg, "property": "n"},
        "dateRange": {"start": "2026-03-31", "end": "2026-03-31"},
        "breakdown": {"key": "plan", "limit": 1},
    }
    query = parse(request)
    events = [
        Happened(query.period.start, properties={"n": number, "plan": plan})
        for plan, numbers in (("a", smaller), ("b", larger))
        for number in numbers
    ]
    assert results(filled, query, events)[0]["key"] == "b"
