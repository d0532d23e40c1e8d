"""What may be asked, and how what may not is refused."""

import json
from typing import Any

import orjson
import pytest
from headgate_service.errors import QueryInvalid, QueryOverLimit
from headgate_service.query import time as moment
from headgate_service.query.normal_form import normal_form
from headgate_service.query.query import Query, parse_query

DATES = {"start": "2026-02-01", "end": "2026-02-03"}
METRIC: dict[str, Any] = {"type": "metric", "projectId": "shop", "event": "*", "dateRange": DATES}
SERIES = METRIC | {"type": "timeseries"}
STEPS = [{"event": "a"}, {"event": "b"}]
FUNNEL = {"type": "funnel", "projectId": "shop", "dateRange": DATES, "steps": STEPS}
WIDE = SERIES | {"breakdown": {"key": "x", "limit": 100}, "interval": "hour"}
LEAF = {"key": "plan", "op": "eq", "value": "pro"}
DOCUMENTED = {
    "type": "timeseries",
    "projectId": "my-project-slug",
    "event": "$pageview",
    "dateRange": {"start": "2026-02-01T00:00:00.000Z", "end": "2026-02-03T23:59:59.999Z"},
    "metric": "count",
    "filter": {"key": "$pathname", "op": "eq", "value": "/pricing"},
}


def parsed(request: Any) -> Query:
    return parse_query(request, "UTC")


def times(query: Query) -> tuple[str, str]:
    return query.clock.text(query.period.start), query.clock.text(query.period.end)


def without(request: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != name}


def deep(depth: int) -> Any:
    return LEAF if depth == 1 else {"not": deep(depth - 1)}


def test_the_documented_request():
    query = parsed(DOCUMENTED)
    assert times(query) == ("2026-02-01T00:00:00+00:00", "2026-02-04T00:00:00+00:00")
    assert query.buckets is not None
    assert (query.buckets.interval, len(query.buckets.starts)) == ("day", 3)


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        ([], "invalid_query", "body"),
        (without(METRIC, "type"), "invalid_query", "type"),
        (METRIC | {"type": "table"}, "invalid_query", "type"),
        (without(METRIC, "projectId"), "invalid_query", "projectId"),
        (without(METRIC, "event"), "invalid_query", "event"),
        (METRIC | {"event": 5}, "invalid_query", "event"),
        (without(METRIC, "dateRange"), "invalid_query", "dateRange"),
        (METRIC | {"filters": []}, "unknown_field", "filters"),
        (METRIC | {"dateRange": DATES | {"zone": "UTC"}}, "unknown_field", "dateRange.zone"),
        (METRIC | {"filter": LEAF | {"values": []}}, "unknown_field", "filter.values"),
        (METRIC | {"dateRange": DATES | {"timezone": "Berlin"}}, "invalid_query", "dateRange.timezone"),
        (METRIC | {"dateRange": DATES | {"timezone": "../etc/passwd"}}, "invalid_query", "dateRange.timezone"),
        (METRIC | {"dateRange": DATES | {"start": "2026-02-30"}}, "invalid_query", "dateRange.start"),
        (METRIC | {"dateRange": DATES | {"start": "yesterday"}}, "invalid_query", "dateRange.start"),
        (METRIC | {"dateRange": DATES | {"start": 5}}, "invalid_query", "dateRange.start"),
        (METRIC | {"dateRange": DATES | {"start": "0001-01-01"}}, "invalid_query", "dateRange.start"),
        (METRIC | {"dateRange": DATES | {"end": "2026-01-31"}}, "invalid_query", "dateRange.end"),
        (METRIC | {"dateRange": DATES | {"end": "2026-02-01T00:00:00"}}, "invalid_query", "dateRange.end"),
        (METRIC | {"interval": "day"}, "invalid_query", "interval"),
        (SERIES | {"interval": "year"}, "invalid_query", "interval"),
        (METRIC | {"metric": "visits"}, "invalid_query", "metric"),
        (METRIC | {"metric": {"agg": "mode", "property": "x"}}, "invalid_query", "metric.agg"),
        (METRIC | {"metric": {"agg": "sum"}}, "invalid_query", "metric.property"),
        (METRIC | {"breakdown": "plan"}, "invalid_query", "breakdown"),
        (METRIC | {"type": "breakdown"}, "invalid_query", "breakdown"),
        (SERIES | {"breakdown": {"key": "plan", "limit": 101}}, "invalid_query", "breakdown.limit"),
        (SERIES | {"breakdown": {"key": "plan", "limit": 0}}, "invalid_query", "breakdown.limit"),
        (SERIES | {"breakdown": {"key": "timestamp"}}, "invalid_query", "breakdown.key"),
        (METRIC | {"compare": "last_week"}, "invalid_query", "compare"),
        (METRIC | {"compare": {"start": "2026-01-01"}}, "invalid_query", "compare.end"),
        (METRIC | {"includeTest": "yes"}, "invalid_query", "includeTest"),
        (METRIC | {"steps": STEPS}, "invalid_query", "steps"),
        (FUNNEL | {"event": "a"}, "invalid_query", "event"),
        (FUNNEL | {"steps": STEPS[:1]}, "invalid_query", "steps"),
        (FUNNEL | {"steps": [{"event": str(n)} for n in range(11)]}, "invalid_query", "steps"),
        (FUNNEL | {"steps": [*STEPS, {"event": "a", "name": "again"}]}, "duplicate_step", "steps[2]"),
        (FUNNEL | {"steps": [{"event": "a", "filter": {"key": "x"}}, *STEPS]}, "invalid_query", "steps[0].filter.op"),
        (FUNNEL | {"window": {"value": 367, "unit": "day"}}, "invalid_query", "window.value"),
        (FUNNEL | {"window": {"value": 1, "unit": "year"}}, "invalid_query", "window.unit"),
        (FUNNEL | {"order": "sorted"}, "invalid_query", "order"),
        (FUNNEL | {"countBy": "device"}, "invalid_query", "countBy"),
        (METRIC | {"filter": "plan"}, "invalid_query", "filter"),
        (METRIC | {"filter": {"key": "plan", "op": "like", "value": "x"}}, "invalid_query", "filter.op"),
        (METRIC | {"filter": {"key": None, "op": "eq", "value": "x"}}, "invalid_query", "filter.key"),
        (METRIC | {"filter": {"key": "x" * 501, "op": "eq", "value": "x"}}, "invalid_query", "filter.key"),
        (METRIC | {"filter": {"key": "plan", "op": "eq"}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "eq", "value": {"a": 1}}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "in", "value": "x"}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "in", "value": []}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "in", "value": ["x", None]}}, "invalid_query", "filter.value[1]"),
        (METRIC | {"filter": {"key": "plan", "op": "between", "value": [1]}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "between", "value": [1, "x"]}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "gt", "value": True}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "contains", "value": 5}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "plan", "op": "exists", "value": True}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "test", "op": "eq", "value": "true"}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "timestamp", "op": "gt", "value": 5}}, "invalid_query", "filter.value"),
        (METRIC | {"filter": {"key": "timestamp", "op": "regex", "value": "x"}}, "invalid_query", "filter.op"),
        (METRIC | {"filter": {"and": [LEAF, {"or": [LEAF, {"key": 1}]}]}}, "invalid_query", "filter.and[1].or[1].key"),
        (METRIC | {"filter": {"and": []}}, "invalid_query", "filter.and"),
        (METRIC | {"filter": {"and": [LEAF], "or": [LEAF]}}, "invalid_query", "filter"),
        (METRIC | {"filter": deep(6)}, "filter_too_deep", "filter.not.not.not.not.not"),
        (METRIC | {"filter": [LEAF] * 21}, "filter_too_large", "filter"),
        (METRIC | {"filter": [{"or": [LEAF] * 7}] * 3}, "filter_too_large", "filter"),
    ],
)
def test_what_is_no_query(request_, code, field):
    with pytest.raises(QueryInvalid) as refused:
        parsed(request_)
    assert (refused.value.reason, refused.value.field) == (code, field)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (METRIC | {"type": "table", "event": 5, "evnt": 1, "refresh": "no"}, "type event refresh evnt"),
        ({"a": 1, "b": 2}, "projectId type dateRange a b"),
        (
            SERIES | {"dateRange": {"start": "x", "end": 5, "timezone": "Mars", "y": 1}, "interval": "year"},
            "dateRange.timezone dateRange.start dateRange.end dateRange.y interval",
        ),
        (
            METRIC | {"filter": [{"key": "", "op": "like"}, LEAF, {"or": [{"op": "in", "value": [None, []]}, 5]}]},
            "filter[0].op filter[2].or[0].key filter[2].or[1]",
        ),
        (METRIC | {"filter": {"key": "k", "op": "in", "value": [None, 1, []]}}, "filter.value[0] filter.value[2]"),
        (METRIC | {"metric": {"agg": "mode", "of": 1}}, "metric.agg metric.property metric.of"),
        (SERIES | {"breakdown": {"limit": 0, "other": 1, "x": 1}}, "breakdown.key breakdown.limit breakdown.other"),
        (METRIC | {"compare": {"start": 1, "end": 2}, "interval": "day"}, "interval compare.start compare.end"),
        (
            FUNNEL
            | {"metric": "count", "steps": [{"event": "a", "name": 1, "x": 2}, {"event": "a"}, {"event": "a"}, 3]}
            | {"window": {"value": 0, "unit": "age"}, "countBy": "x"},
            "metric steps[0].name steps[0].x steps[2] steps[3] window.value window.unit countBy",
        ),
        (METRIC | {"steps": STEPS, "window": {}, "countBy": "user", "zz": 1}, "steps window countBy zz"),
        # A limit comes after what is wrong.
        (
            SERIES | {"interval": "minute", "metric": "x", "dateRange": {"start": "2020-01-01", "end": "2026-01-01"}},
            "metric dateRange.end",
        ),
    ],
)
def test_every_fault_is_named_at_once(request_, fields):
    with pytest.raises(QueryInvalid) as refused:
        parsed(request_)
    found = [fault.path for fault in refused.value.faults]
    assert found[: len(fields.split())] == fields.split()
    assert refused.value.field == found[0]
    assert str(refused.value) == f"{found[0]}: {refused.value.faults[0].message}"


def test_faults_are_bounded():
    with pytest.raises(QueryInvalid) as refused:
        parsed(METRIC | {f"x{number}": number for number in range(1000)})
    assert len(refused.value.faults) == 100


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (METRIC | {"dateRange": {"start": "2020-01-01", "end": "2025-01-01"}}, "range_too_long"),
        (SERIES | {"interval": "minute"}, "too_many_buckets"),
        (SERIES | {"interval": "hour", "dateRange": {"start": "2026-01-01", "end": "2026-02-10"}}, None),
        (SERIES | {"interval": "hour", "dateRange": {"start": "2026-01-01", "end": "2026-02-11"}}, "too_many_buckets"),
        (
            SERIES | {"breakdown": {"key": "x", "limit": 100}, "interval": "hour", "compare": "previous_period"},
            "points",
        ),
    ],
)
def test_limits(request_, code):
    if code is None:
        parsed(request_)
        return
    with pytest.raises(QueryOverLimit, match="10000" if code == "points" else None) as refused:
        parsed(request_)
    assert refused.value.reason == ("too_many_points" if code == "points" else code)


@pytest.mark.parametrize("filter_", [None, [], deep(5), [LEAF] * 20, LEAF, {"or": [LEAF, [LEAF, LEAF]]}])
def test_filters_within_limits(filter_):
    parsed(METRIC | {"filter": filter_})


@pytest.mark.parametrize("op", ["=", "==", "!=", ">", ">=", "<", "<=", "equals"])
def test_aliases(op):
    known = {"=": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "equals": "eq"}
    request = METRIC | {"filter": {"key": "n", "op": op, "value": 1}}
    if op not in known:
        with pytest.raises(QueryInvalid):
            parsed(request)
        return
    assert normal_form(parsed(request), "shop")["filter"]["op"] == known[op]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        # Days of the zone, both of them, on which the clock changes.
        ({"start": "2026-10-25", "end": "2026-10-25"}, ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")),
        # Without an offset it is the zone's time; the end is not in it.
        (
            {"start": "2026-02-01T08:00", "end": "2026-02-01 09:30:15.250"},
            ("2026-02-01T08:00:00+01:00", "2026-02-01T09:30:15.250+01:00"),
        ),
        (
            {"start": "2026-02-01T00:00:00Z", "end": "2026-02-03T23:59:59.999Z"},
            ("2026-02-01T01:00:00+01:00", "2026-02-04T01:00:00+01:00"),
        ),
        (
            {"start": "2026-02-01T00:00:00+0530", "end": "2026-02-03T23:59:58.999Z"},
            ("2026-01-31T19:30:00+01:00", "2026-02-04T00:59:58.999+01:00"),
        ),
        (
            {"start": "2026-02-01", "end": "2026-02-02T10:00:00"},
            ("2026-02-01T00:00:00+01:00", "2026-02-02T10:00:00+01:00"),
        ),
    ],
)
def test_dates(dates, expected):
    assert times(parsed(METRIC | {"dateRange": dates | {"timezone": "Europe/Berlin"}})) == expected


def test_the_projects_zone_is_the_default():
    assert parse_query(METRIC, "Asia/Tokyo").clock.text(0) == "1970-01-01T09:00:00+09:00"


@pytest.mark.parametrize(
    ("start", "end", "interval"),
    [
        ("2026-02-01", "2026-02-02", "hour"),
        ("2026-02-01", "2026-02-03", "day"),
        ("2026-01-01", "2026-04-02", "day"),
        ("2026-01-01", "2026-04-03", "week"),
        ("2025-01-01", "2026-01-01", "week"),
        ("2025-01-01", "2026-01-02", "month"),
        # 49 hours of two days.
        ("2026-10-24", "2026-10-25", "hour"),
    ],
)
def test_default_intervals(start, end, interval):
    query = parsed(SERIES | {"dateRange": {"start": start, "end": end, "timezone": "Europe/Berlin"}})
    assert query.buckets is not None
    assert query.buckets.interval == interval


@pytest.mark.parametrize(
    ("dates", "interval", "starts"),
    [
        # The hour that comes twice, and the one that does not come.
        (
            {"start": "2026-10-25T01:30:00", "end": "2026-10-25T03:30:00", "timezone": "Europe/Berlin"},
            "hour",
            ["01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"],
        ),
        (
            {"start": "2026-03-29T01:00:00", "end": "2026-03-29T04:00:00", "timezone": "Europe/Berlin"},
            "hour",
            ["01:00:00+01:00", "03:00:00+02:00"],
        ),
        # Half an hour's change.
        (
            {"start": "2026-04-05T01:00:00", "end": "2026-04-05T03:00:00", "timezone": "Australia/Lord_Howe"},
            "hour",
            ["01:00:00+11:00", "01:30:00+10:30", "02:00:00+10:30"],
        ),
        # The day began at one o'clock.
        (
            {"start": "2018-11-03", "end": "2018-11-05", "timezone": "America/Sao_Paulo"},
            "day",
            ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"],
        ),
        # There was no 30th of December.
        (
            {"start": "2011-12-29", "end": "2011-12-31", "timezone": "Pacific/Apia"},
            "day",
            ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"],
        ),
        # The week begins on Monday.
        (
            {"start": "2026-02-01", "end": "2026-02-03", "timezone": "UTC"},
            "week",
            ["2026-01-26T00:00:00+00:00", "2026-02-02T00:00:00+00:00"],
        ),
    ],
)
def test_buckets(dates, interval, starts):
    query = parsed(SERIES | {"dateRange": dates, "interval": interval})
    assert query.buckets is not None
    shown = [query.clock.text(start) for start in query.buckets.starts]
    assert [text[-len(start) :] for text, start in zip(shown, starts, strict=True)] == starts


@pytest.mark.parametrize(
    ("dates", "compare", "expected"),
    [
        # As many days of the zone, though not of as many hours.
        (
            {"start": "2026-10-25", "end": "2026-10-26"},
            "previous_period",
            ("2026-10-23T00:00:00+02:00", "2026-10-25T00:00:00+02:00"),
        ),
        (
            {"start": "2026-10-25T12:00:00", "end": "2026-10-26T12:00:00"},
            "previous_period",
            ("2026-10-24T13:00:00+02:00", "2026-10-25T12:00:00+01:00"),
        ),
        *(
            (
                {"start": f"2024-02-{day}", "end": f"2024-02-{day}"},
                "previous_year",
                ("2023-02-28T00:00:00+01:00", "2023-03-01T00:00:00+01:00"),
            )
            for day in (28, 29)
        ),
        (
            {"start": "2024-02-28T18:00:00", "end": "2024-02-29T12:00:00"},
            "previous_year",
            ("2023-02-28T18:00:00+01:00", "2023-03-01T12:00:00+01:00"),
        ),
        (
            {"start": "2024-03-01", "end": "2024-03-01"},
            "previous_year",
            ("2023-03-01T00:00:00+01:00", "2023-03-02T00:00:00+01:00"),
        ),
        (
            {"start": "2026-01-01", "end": "2026-01-02"},
            {"start": "2020-05-01", "end": "2020-05-01"},
            ("2020-05-01T00:00:00+02:00", "2020-05-02T00:00:00+02:00"),
        ),
    ],
)
def test_comparisons(dates, compare, expected):
    query = parsed(METRIC | {"dateRange": dates | {"timezone": "Europe/Berlin"}, "compare": compare})
    assert query.compared is not None
    assert (query.clock.text(query.compared.start), query.clock.text(query.compared.end)) == expected


def test_a_skipped_day_is_no_period_to_compare_with():
    """There was no 30th of December."""
    dates = {"start": "2011-12-31", "end": "2011-12-31", "timezone": "Pacific/Apia"}
    query = parsed(SERIES | {"interval": "day", "dateRange": dates, "compare": "previous_period"})
    assert query.buckets is not None
    assert [query.clock.text(start) for start in query.buckets.compared] == ["2011-12-29T00:00:00-10:00"]


def test_months_are_compared_with_months():
    request = SERIES | {"interval": "month", "dateRange": {"start": "2026-01-01", "end": "2026-03-31"}}
    query = parsed(request | {"compare": "previous_period"})
    assert query.buckets is not None
    assert [query.clock.text(start)[:10] for start in query.buckets.compared] == [
        "2025-10-01",
        "2025-11-01",
        "2025-12-01",
    ]


@pytest.mark.parametrize(
    "request_",
    [
        DOCUMENTED,
        FUNNEL | {"breakdown": "plan", "order": "any", "countBy": "session", "window": {"value": 2, "unit": "hour"}},
        SERIES | {"filter": {"not": {"or": [LEAF, LEAF | {"key": "timestamp", "value": "2026-02-01T10:00:00.5Z"}]}}},
        METRIC | {"metric": {"agg": "p95", "property": "a.b"}, "compare": "previous_year", "includeTest": True},
        METRIC | {"filter": {"key": "n", "op": "in", "value": [1, 1.5, True, "x", 2**64 - 1, 1e300]}},
    ],
)
def test_the_normal_form_asks_the_same(request_):
    query = parsed(request_)
    form = orjson.loads(orjson.dumps(normal_form(query, "shop")))
    assert normal_form(parsed(form), "shop") == form
    assert parsed(form).period == query.period


def test_one_question_has_one_normal_form():
    one = METRIC | {"filter": [{"key": "plan", "op": "=", "value": "pro"}], "metric": None, "refresh": True}
    other = METRIC | {"filter": {"and": [LEAF]}, "metric": "count", "dateRange": DATES | {"timezone": "UTC"}}
    assert json.dumps(normal_form(parsed(one), "s")) == json.dumps(normal_form(parsed(other), "s"))


def test_two_whole_numbers_of_64_bits_are_two_questions():
    """As floats they would be one, and share an answer."""
    one, other = ({"key": "n", "op": "eq", "value": value} for value in (2**64 - 1, 2**64 - 2))
    assert normal_form(parsed(METRIC | {"filter": one}), "s") != normal_form(parsed(METRIC | {"filter": other}), "s")
    large = parsed(METRIC | {"filter": {"key": "n", "op": "in", "value": [-1e19, 1e300]}})
    assert orjson.loads(orjson.dumps(normal_form(large, "s")))["filter"]["value"] == [-1e19, 1e300]


def test_zones_that_nobody_has_heard_of_are_not_remembered_for_good():
    for number in range(2_000):
        with pytest.raises(QueryInvalid):
            parsed(METRIC | {"dateRange": DATES | {"timezone": f"Nowhere/{number}"}})
    remembered = moment.known_zone.cache_info().currsize
    with pytest.raises(QueryInvalid):
        parsed(METRIC | {"dateRange": DATES | {"timezone": "x" * 100_000}})
    assert moment.known_zone.cache_info().currsize == remembered <= 1_000


def test_true_is_not_1():
    steps = [{"event": "a", "filter": {"key": "x", "op": "eq", "value": value}} for value in (True, 1)]
    assert parsed(FUNNEL | {"steps": steps}).funnel is not None
