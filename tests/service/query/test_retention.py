"""Who came back: an example that was counted by hand."""

import json
from typing import Any

import pytest
from conftest import Filled
from headgate_service.errors import QueryInvalid, QueryOverLimit
from headgate_service.query.answer import answered
from headgate_service.query.csv_text import csv_text
from headgate_service.query.group_sql import Scope
from headgate_service.query.normal_form import normal_form
from headgate_service.query.query import parse_query
from reference import Happened, answer

NOON = 1_770_033_600_000  # 2026-02-02T12:00:00Z, a Monday
HOUR, DAY = 3_600_000, 86_400_000
REQUEST: dict[str, Any] = {
    "type": "retention",
    "projectId": "p",
    "event": "signup",
    "returnEvent": "visit",
    "interval": "day",
    "periods": 2,
    "dateRange": {"start": "2026-02-02", "end": "2026-02-03"},
}
EVENTS = [
    # What comes before the signup, or after the last period, is no return; a second signup makes no second cohort.
    *(Happened(NOON + at, "visit", "ann") for at in (-HOUR, DAY, 3 * DAY)),
    *(Happened(NOON + at, "signup", "ann") for at in (0, DAY)),
    Happened(NOON, "signup", "bob"),
    Happened(NOON + HOUR, "visit", "bob"),
    Happened(NOON + DAY, "signup", "eve", properties={"plan": "pro"}),
    *(Happened(NOON + at, "visit", "eve") for at in (2 * DAY, 3 * DAY)),
    Happened(NOON, "visit", "who never signed up"),
    # After the range nobody joins.
    Happened(NOON + 2 * DAY, "signup", "joe"),
]


def results(filled: Filled, **changes: Any) -> list[dict[str, Any]]:
    query = parse_query(REQUEST | changes, "UTC")
    found = filled.run(answered(query, Scope(filled.table, filled.project(EVENTS), query), filled.rows)).results
    assert found == answer(query, EVENTS)
    return found


def test_days(filled):
    assert results(filled) == [
        {
            "key": None,
            "cohorts": [
                {"time": "2026-02-02T00:00:00+00:00", "size": 2, "values": [1, 1, 0]},
                {"time": "2026-02-03T00:00:00+00:00", "size": 1, "values": [0, 1, 1]},
            ],
        }
    ]


def test_weeks_by_plan_as_a_table(filled):
    found = results(filled, interval="week", periods=1, breakdown="plan")
    assert [(one["key"], one["cohorts"][0]["size"]) for one in found] == [("pro", 1), (None, 2)]
    assert csv_text("retention", found).split("\r\n")[:3] == [
        "key,isOther,time,size,period,value",
        "pro,,2026-02-02T00:00:00+00:00,1,0,1",
        "pro,,2026-02-02T00:00:00+00:00,1,1,0",
    ]


def test_the_same_event_is_the_default(filled):
    del REQUEST["returnEvent"]
    try:
        ((first, _),) = [one["cohorts"] for one in results(filled)]
        assert first == {"time": "2026-02-02T00:00:00+00:00", "size": 2, "values": [2, 1, 0]}
    finally:
        REQUEST["returnEvent"] = "visit"


def test_the_normal_form_asks_the_same():
    form = json.loads(json.dumps(normal_form(parse_query(REQUEST | {"breakdown": "plan"}, "UTC"), "p")))
    assert normal_form(parse_query(form, "UTC"), "p") == form


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event": None}, "event"),
        ({"interval": "hour"}, "interval"),
        ({"periods": 53}, "periods"),
        ({"returnEvent": ""}, "returnEvent"),
        ({"metric": "count"}, "metric"),
        ({"compare": "previous_period"}, "compare"),
        ({"steps": [{"event": "a"}, {"event": "b"}]}, "steps"),
        ({"countBy": "device"}, "countBy"),
        ({"type": "metric", "returnEvent": "visit", "interval": None, "periods": None}, "returnEvent"),
    ],
)
def test_what_is_refused(changes, field):
    with pytest.raises(QueryInvalid) as refused:
        parse_query(REQUEST | changes, "UTC")
    assert refused.value.field == field


def test_an_answer_is_bounded():
    dates = {"start": "2026-01-01", "end": "2026-12-31"}
    with pytest.raises(QueryOverLimit):
        parse_query(REQUEST | {"dateRange": dates, "periods": 52}, "UTC")
