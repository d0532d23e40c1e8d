"""The ways that users take: an example that was counted by hand."""

import json
from typing import Any

import pytest
from conftest import Filled
from headgate_service.errors import QueryInvalid
from headgate_service.query.answer import answered
from headgate_service.query.csv_text import csv_text
from headgate_service.query.group_sql import Scope
from headgate_service.query.normal_form import normal_form
from headgate_service.query.query import parse_query
from reference import Happened, answer

NOON = 1_770_033_600_000
MINUTE = 60_000
REQUEST: dict[str, Any] = {
    "type": "paths",
    "projectId": "p",
    "start": {"event": "home"},
    "depth": 3,
    "window": {"value": 1, "unit": "hour"},
    "dateRange": {"start": "2026-02-02", "end": "2026-02-02"},
}
WAYS = {"ann": "ad home shop pay", "bob": "home shop", "eve": "home help home", "joe": "shop pay"}
EVENTS = [
    *(Happened(NOON + n * MINUTE, name, who) for who, way in WAYS.items() for n, name in enumerate(way.split())),
    # After the window.
    Happened(NOON + 61 * MINUTE, "late", "bob"),
]


def results(filled: Filled, **changes: Any) -> dict[str, Any]:
    query = parse_query({name: value for name, value in (REQUEST | changes).items() if value is not None}, "UTC")
    found = filled.run(answered(query, Scope(filled.table, filled.project(EVENTS), query), filled.rows)).results
    assert found == answer(query, EVENTS)
    return found[0]


def test_onwards(filled):
    found = results(filled)
    assert found["nodes"] == [
        {"step": 0, "event": "home", "count": 3},
        {"step": 1, "event": "shop", "count": 2},
        {"step": 1, "event": "help", "count": 1},
        {"step": 2, "event": "home", "count": 1},
        {"step": 2, "event": "pay", "count": 1},
    ]
    assert {"step": 0, "from": "home", "to": "shop", "count": 2} in found["edges"]
    assert len(found["edges"]) == 4
    table = csv_text("paths", [found]).split("\r\n")
    assert (table[0], table[1], table[6]) == ("step,event,to,count", "0,home,,3", "0,home,shop,2")


def test_back(filled):
    found = results(filled, start=None, end={"event": "pay"})
    assert [(node["step"], node["event"], node["count"]) for node in found["nodes"]] == [
        (0, "pay", 2),
        (1, "shop", 2),
        (2, "home", 1),
    ]


def test_the_rest_is_one(filled):
    found = results(filled, limit=1)
    assert found["nodes"][2] == {"step": 1, "event": "$other", "isOther": True, "count": 1}
    assert {"step": 0, "from": "home", "to": "$other", "count": 1} in found["edges"]


@pytest.mark.parametrize("anchor", ["start", "end"])
def test_the_normal_form_asks_the_same(anchor):
    request = {name: value for name, value in REQUEST.items() if name != "start"}
    leaf = {"key": "plan", "op": "eq", "value": "pro"}
    form = normal_form(parse_query(request | {anchor: {"event": "pay", "filter": leaf}}, "UTC"), "p")
    assert normal_form(parse_query(json.loads(json.dumps(form)), "UTC"), "p") == form


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": {"event": "pay"}}, "start"),
        ({"start": None}, "start"),
        ({"start": {"event": ""}}, "start.event"),
        ({"start": {"event": "a", "filter": {"key": "x"}}}, "start.filter.op"),
        ({"depth": 1}, "depth"),
        ({"depth": 11}, "depth"),
        ({"limit": 101}, "limit"),
        ({"breakdown": "plan"}, "breakdown"),
        ({"event": "a"}, "event"),
        ({"compare": "previous_year"}, "compare"),
        ({"interval": "day"}, "interval"),
    ],
)
def test_what_is_refused(changes, field):
    with pytest.raises(QueryInvalid) as refused:
        parse_query(REQUEST | changes, "UTC")
    assert refused.value.field == field
