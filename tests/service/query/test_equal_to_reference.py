"""The engine's answers equal the reference's, integers exactly and floats within 1e-9.

HEADGATE_TEST_QUERY_EXAMPLES makes each test longer.
"""

import os
from datetime import date, timedelta
from typing import Any

from agreement import agree
from conftest import Filled
from headgate_service.errors import QueryOverLimit
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference import Happened, answer
from strategies import AROUND, INTERVALS, ZONES, Maker, breakdowns, compares, filters, metrics

EXAMPLES = int(os.environ.get("HEADGATE_TEST_QUERY_EXAMPLES", "40"))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
Case = tuple[dict[str, Any], list[Happened]]


def check(filled: Filled, request: dict[str, Any], events: list[Happened]) -> None:
    try:
        query = parse_query(request | {"projectId": "p"}, "UTC")
    except QueryOverLimit:
        assume(False)
        raise
    scope = Scope(filled.table, filled.project(events), query)
    found = filled.run(answered(query, scope, filled.rows))
    agree(found.results, answer(query, events))


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    around = date.fromisoformat(draw(st.sampled_from(AROUND)))
    start = around - timedelta(days=draw(st.integers(0, 2)))
    end = start + timedelta(days=draw(st.sampled_from([0, 1, 3, 40])))
    made: dict[str, Any] = {"timezone": draw(st.sampled_from(ZONES))}
    # Of the day that Samoa skipped alone there is nothing to ask.
    assume((made["timezone"], str(start), str(end)) != ("Pacific/Apia", "2011-12-30", "2011-12-30"))
    if draw(st.booleans()):
        return made | {"start": str(start), "end": str(end)}
    return made | {"start": f"{start}T0{draw(st.integers(0, 9))}:30:00", "end": f"{end}T23:59:59.999Z"}


windows = st.none() | st.sampled_from(
    [{"value": 30, "unit": "minute"}, {"value": 1, "unit": "hour"}, {"value": 1, "unit": "day"}]
)
steps = st.builds(
    lambda name, condition: {"event": name, "filter": condition},
    st.sampled_from(["*", "$pageview", "signup"]),
    filters(),
)


@st.composite
def cases(draw: st.DrawFn, kind: str, weights: tuple[float, ...] = (1.0,)) -> Case:
    dates = draw(ranges())
    period = parse_query({"type": "metric", "projectId": "p", "event": "*", "dateRange": dates}, "UTC").period
    request: dict[str, Any] = {"type": kind, "dateRange": dates, "filter": draw(filters())}
    if kind not in ("retention", "paths"):
        request["compare"] = draw(compares)
    if kind == "timeseries":
        request["interval"] = draw(st.none() | st.sampled_from(INTERVALS))
    if kind == "breakdown" or (kind in ("timeseries", "funnel", "retention") and draw(st.booleans())):
        request["breakdown"] = draw(breakdowns)
    request["includeTest"] = draw(st.booleans())
    start, span = period.start - 2 * 86_400_000, period.end - period.start + 3 * 86_400_000
    if kind == "funnel":
        request["steps"] = draw(st.lists(steps, min_size=2, max_size=4, unique_by=str))
        request["countBy"] = draw(st.sampled_from(["user", "session"]))
        request["order"] = draw(st.sampled_from(["ordered", "strict", "any"]))
        request["window"] = draw(windows)
        # Close together, so that there is something to go through.
        if draw(st.booleans()):
            start, span = period.start, 7_200_000
    elif kind == "paths":
        names = st.sampled_from(["*", "$pageview", "signup"])
        anchor = {"event": draw(names), "filter": draw(st.none() | filters())}
        request[draw(st.sampled_from(["start", "end"]))] = anchor
        request["depth"] = draw(st.sampled_from([None, 2, 3]))
        request["limit"] = draw(st.sampled_from([None, 1, 2]))
        request["countBy"] = draw(st.sampled_from(["user", "session"]))
        request["window"] = draw(windows)
        if draw(st.booleans()):
            start, span = period.start, 7_200_000
    elif kind == "retention":
        request["event"] = draw(st.sampled_from(["*", "$pageview", "signup"]))
        request["returnEvent"] = draw(st.sampled_from([None, "*", "signup"]))
        request["interval"] = draw(st.sampled_from([None, "day", "week", "month"]))
        request["periods"] = draw(st.sampled_from([None, 1, 3]))
        request["countBy"] = draw(st.sampled_from(["user", "session"]))
        span += 10 * 86_400_000
    else:
        request["event"] = draw(st.sampled_from(["*", "*", "$pageview", 'it\'s \\ "x"']))
        request["metric"] = draw(metrics)
    maker = Maker(draw(st.integers(0, 2**32)))
    return request, maker.events(draw(st.sampled_from([40, 40, 40, 40, 5, 0])), start, span, weights)


@bounded
@given(case=cases("metric"))
def test_metric(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(case=cases("timeseries"))
def test_timeseries(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(case=cases("breakdown"))
def test_breakdown(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(case=cases("funnel"))
def test_funnel(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(case=cases("retention"))
def test_retention(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(case=cases("paths"))
def test_paths(filled: Filled, case: Case) -> None:
    check(filled, *case)


@bounded
@given(
    case=st.sampled_from(["metric", "timeseries", "breakdown", "funnel", "retention", "paths"]).flatmap(
        lambda k: cases(k, (1.0, 2.5, 10.0))
    )
)
def test_sampled(filled: Filled, case: Case) -> None:
    check(filled, *case)
