"""Where one more or one less, one type or another, makes a difference."""

from typing import Any

import pytest
from conftest import Filled
from headgate_service.errors import QueryOverLimit
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from reference import Happened, answer

NOON = 1_770_033_600_000  # 2026-02-02T12:00:00Z
MINUTE = 60_000
METRIC: dict[str, Any] = {
    "type": "metric",
    "projectId": "p",
    "event": "*",
    "dateRange": {"start": "2026-02-02", "end": "2026-02-02"},
}


def results(filled: Filled, events: list[Happened], **changes: Any) -> list[dict[str, Any]]:
    query = parse_query(METRIC | changes, "UTC")
    found = filled.run(answered(query, Scope(filled.table, filled.project(events), query), filled.rows)).results
    assert found == answer(query, events)
    return found


def test_a_thousand_buckets(filled):
    begin = NOON - 12 * 60 * MINUTE
    ends = {"start": "2026-02-02T00:00:00Z", "end": "2026-02-02T16:40:00Z"}
    series = {"type": "timeseries", "interval": "minute"}
    (found,) = results(filled, [Happened(begin + 1000 * MINUTE - 1)], dateRange=ends, **series)
    assert (len(found["data"]), found["data"][-1]["value"]) == (1000, 1)
    with pytest.raises(QueryOverLimit) as refused:
        results(filled, [], dateRange=ends | {"end": "2026-02-02T16:40:00.001Z"}, **series)
    assert refused.value.reason == "too_many_buckets"


def test_users_that_were_sampled_count_once_however_many_events_they_sent(filled):
    # Each row has an event id of its own.
    events = [Happened(NOON + n, "e", who, weight=4.0) for who in ("ann", "bob") for n in range(3)]
    assert results(filled, events, metric="unique_users") == [{"value": 8}]
    assert results(filled, events, metric="count") == [{"value": 24}]
    assert results(filled, events, metric="events_per_user") == [{"value": 3}]


@pytest.mark.parametrize(("op", "count"), [("gte", 2), ("gt", 1), ("lte", 3), ("lt", 2), ("eq", 1), ("neq", 5)])
def test_a_half_beside_integers(filled, op, count):
    events = [Happened(NOON, properties={"n": n}) for n in (2, 2.0, 2.5, 3, "3", True)]
    assert results(filled, events, filter={"key": "n", "op": op, "value": 2.5}) == [{"value": count}]


@pytest.mark.parametrize(("value", "count"), [(True, 1), (1, 2), (1.0, 2), ("1", 1), ("true", 1), (False, 0), (0, 0)])
def test_true_is_not_1(filled, value, count):
    events = [Happened(NOON, properties={"k": k}) for k in (True, 1, 1.0, "1", "true")]
    assert results(filled, events, filter={"key": "k", "op": "eq", "value": value}) == [{"value": count}]
    assert results(filled, events, filter={"key": "k", "op": "in", "value": [value]}) == [{"value": count}]


@pytest.mark.parametrize("other", [True, False])
def test_rows_without_the_key_are_a_group(filled, other):
    absent: list[dict[str, Any]] = [{}, {"plan": None}, {"plan": ""}, {"plan": []}, {"plan": {"a": 1}}]
    events = [Happened(NOON, properties=one) for one in [*absent, {"plan": "pro"}, {"plan": "pro"}, {"plan": "team"}]]
    breakdown = {"key": "plan", "limit": 1, "other": other}
    found = results(filled, events, type="breakdown", breakdown=breakdown)
    shown = [(row["key"], row["value"], row["share"]) for row in found]
    # The empty text is a text.
    assert shown == [("pro", 2, 0.25), (None, 4, 0.5), *([("$other", 2, 0.25)] if other else [])]


@pytest.mark.parametrize(("written", "count"), [(".5Z", 1), (".500Z", 1), (".50Z", 1), (".05Z", 0), (".501Z", 0)])
def test_a_part_of_a_second(filled, written, count):
    event = Happened(NOON + 500)
    leaf = {"key": "timestamp", "op": "eq", "value": f"2026-02-02T12:00:00{written}"}
    assert results(filled, [event], filter=leaf) == [{"value": count}]


def test_a_range_that_ends_at_half_a_second(filled):
    events = [Happened(NOON + 499), Happened(NOON + 500)]
    ends = {"start": "2026-02-02T12:00:00Z", "end": "2026-02-02T12:00:00.5Z"}
    assert results(filled, events, dateRange=ends) == [{"value": 1}]


@pytest.mark.parametrize(
    ("zone", "days", "moments", "bars"),
    [
        # At one minute past midnight the clock goes back to one past eleven: the new day has begun.
        ("America/St_Johns", ("2010-11-06", "2010-11-07"), ("02:29:59", "02:30:30", "03:00:00"), [1, 2]),
        # At midnight it goes back to eleven: the new day has not begun.
        ("America/Sao_Paulo", ("2018-02-17", "2018-02-18"), ("01:59:59", "02:30:00", "03:00:00"), [2, 1]),
        # At midnight it goes forward to one: the day begins there.
        ("America/Sao_Paulo", ("2018-11-03", "2018-11-04"), ("02:59:59", "03:00:00"), [1, 1]),
    ],
)
def test_clocks_that_change_over_midnight(filled, zone, days, moments, bars):
    start, end = days
    midnight = parse_query(METRIC | {"dateRange": {"start": end, "end": end}}, "UTC").period.start
    parts = [moment.split(":") for moment in moments]
    events = [Happened(midnight + (int(h) * 3600 + int(m) * 60 + int(s)) * 1000) for h, m, s in parts]
    dates = {"start": start, "end": end, "timezone": zone}
    (found,) = results(filled, events, type="timeseries", interval="day", dateRange=dates)
    assert [bar["value"] for bar in found["data"]] == bars


def test_a_range_that_begins_in_the_hour_that_comes_again(filled):
    # In St John's it shows the 6th again, but the 7th has begun.
    dates = {"start": "2010-11-07T03:00:00Z", "end": "2010-11-07T12:00:00Z", "timezone": "America/St_Johns"}
    event = Happened(1_289_098_800_000)
    (found,) = results(filled, [event], type="timeseries", interval="day", dateRange=dates)
    assert found["data"] == [{"time": "2010-11-07T00:00:00-02:30", "value": 1}]
