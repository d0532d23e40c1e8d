"""Keys and values that mean something to some syntax or other are keys and values here, and nothing else."""

import json
import uuid
from typing import Any

import pytest
from conftest import Filled, row
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from reference import Happened

NOON = 1_770_033_600_000
METRIC: dict[str, Any] = {
    "type": "metric",
    "projectId": "p",
    "event": "*",
    "dateRange": {"start": "2026-02-02", "end": "2026-02-02"},
}
AWKWARD = [
    '"); DROP TABLE events; --',
    "' OR 1=1 --",
    "back\\slash",
    "ends\\",
    "\\n",
    "new\nline",
    "tab\tbed",
    "nul\0l",
    "tick`tick",
    "größe 🙂",
    "{p0:String}",
    "%2E",
    "",
    ".",
    "%",
    "%25",
    "a%2Eb",
    '50% "off',
    "a.:`Int64`",
    "[]",
    "a[].b",
    "x" * 500,
    "deep." * 30 + "path",
]


def results(filled: Filled, project: str, **changes: Any) -> list[dict[str, Any]]:
    query = parse_query(METRIC | changes, "UTC")
    return filled.run(answered(query, Scope(filled.table, project, query), filled.rows)).results


@pytest.mark.parametrize("awkward", AWKWARD)
def test_keys(filled, awkward):
    events = [
        *(Happened(NOON, "e", "u", properties={awkward: value}) for value in ("v", 5)),
        Happened(NOON, "e", "u", properties={awkward: {"inside": True}}),
        Happened(NOON, "e", "u", properties={"another": "v"}),
    ]
    project = filled.project(events)

    def counted(op: str, *value: Any) -> int:
        leaf = {"key": awkward, "op": op} | ({"value": value[0]} if value else {})
        (result,) = results(filled, project, filter=leaf)
        return int(result["value"])

    assert [counted("eq", "v"), counted("eq", 5), counted("neq", "v"), counted("gt", 4)] == [1, 1, 3, 1]
    assert [counted("exists"), counted("not_exists")] == [3, 1]
    groups = results(filled, project, type="breakdown", breakdown=awkward)
    assert [(group["key"], group["value"]) for group in groups] == [(5, 1), ("v", 1), (None, 2)]


@pytest.mark.parametrize("awkward", [text for text in AWKWARD if text])
def test_values(filled, awkward):
    project = filled.project([Happened(NOON, awkward, awkward, properties={"k": awkward})])
    for leaf in (
        {"key": "k", "op": "eq", "value": awkward},
        {"key": "k", "op": "in", "value": [awkward, "x"]},
        {"key": "k", "op": "contains", "value": awkward},
        {"key": "distinct_id", "op": "starts_with", "value": awkward},
        {"key": "event", "op": "gte", "value": awkward},
    ):
        assert results(filled, project, event=awkward, filter=leaf) == [{"value": 1}]
    assert results(filled, project, type="breakdown", breakdown="k")[0]["key"] == awkward
    steps = [{"event": awkward}, {"event": "x"}]
    request = {name: value for name, value in METRIC.items() if name != "event"}
    query = parse_query(request | {"type": "funnel", "steps": steps}, "UTC")
    (funnel,) = filled.run(answered(query, Scope(filled.table, project, query), filled.rows)).results
    assert funnel["steps"][0]["count"] == 1


def test_keys_that_differ_by_an_escape_are_kept_apart(filled):
    keys = ["a.b", "a%2Eb", "a%252Eb", "a%25b", "a%b", "%", "%25", "\\%", "\\\\%", '"%":', "", ".", "a."]
    event = Happened(NOON, properties={key: number for number, key in enumerate(keys)} | {"a": {"b": -1}})
    # Not as the percent sign itself, which JSON allows.
    escaped = json.dumps(event.properties).replace("%", "\\u0025")
    written = {**row(uuid.uuid4().hex, event), "properties_raw": escaped}
    filled.run(filled.rows.insert(f"INSERT INTO events FORMAT JSONEachRow {json.dumps(written)}"))
    for project in (filled.project([event]), written["project_id"]):
        found = [results(filled, project, metric={"agg": "sum", "property": key})[0]["value"] for key in keys]
        assert found == list(range(len(keys)))


def test_a_project_sees_its_own_events(filled):
    mine, others = filled.project([Happened(NOON)]), filled.project([Happened(NOON)] * 2)
    assert results(filled, mine) == [{"value": 1}]
    assert results(filled, others) == [{"value": 2}]
    assert results(filled, "' OR '1'='1") == [{"value": 0}]
