"""How far a row of events comes in a funnel, by its order."""

from typing import Any

import pytest
from conftest import Filled
from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from reference import Happened, answer

NOON = 1_770_033_600_000
MINUTE = 60_000
REQUEST: dict[str, Any] = {
    "type": "funnel",
    "projectId": "p",
    "dateRange": {"start": "2026-02-02", "end": "2026-02-02"},
    "window": {"value": 1, "unit": "hour"},
    "steps": [{"event": name} for name in "abcd"],
}


@pytest.mark.parametrize(
    ("row", "ordered", "strict", "any_order"),
    [
        ("a b c d", 4, 4, 4),
        ("a x b x c d", 4, 4, 4),
        # Another step lies between: c between a and b, a between b and c.
        ("a c b c d", 4, 1, 4),
        ("a b a c d", 4, 2, 4),
        # The same step again, or the one before, is none of the others.
        ("a a b b c c d", 4, 4, 4),
        ("a b c b", 3, 3, 3),
        ("a d c b", 2, 1, 4),
        ("d c b a", 1, 1, 1),
        ("a d", 1, 1, 1),
        # At one time: nothing is later, and nothing lies between.
        ("ab c d", 1, 1, 1),
        ("a bc c d", 4, 4, 4),
        ("a bd c d", 4, 4, 4),
        ("ac b c d", 4, 4, 4),
        # The entry that comes furthest counts.
        ("a c b a b c d", 4, 4, 4),
    ],
)
def test_orders(filled: Filled, row: str, ordered: int, strict: int, any_order: int) -> None:
    events = [
        Happened(NOON + minute * MINUTE, name, "u")
        for minute, together in enumerate(row.split())
        for name in reversed(together)
    ]
    project = filled.project(events)
    for order, depth in (("ordered", ordered), ("strict", strict), ("any", any_order)):
        query = parse_query(REQUEST | {"order": order}, "UTC")
        found = filled.run(answered(query, Scope(filled.table, project, query), filled.rows)).results
        assert [step["count"] for step in found[0]["steps"]] == [1] * depth + [0] * (4 - depth), order
        assert found == answer(query, events)


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
@pytest.mark.parametrize(("after_ms", "count"), [(60 * MINUTE, 1), (60 * MINUTE + 1, 0)])
def test_the_end_of_the_window(filled: Filled, order: str, after_ms: int, count: int) -> None:
    last = NOON + 12 * 60 * MINUTE - 1
    project = filled.project([Happened(last, "a", "u"), Happened(last + after_ms, "b", "u")])
    steps = [{"event": "a"}, {"event": "b"}]
    query = parse_query(REQUEST | {"order": order, "steps": steps}, "UTC")
    (found,) = filled.run(answered(query, Scope(filled.table, project, query), filled.rows)).results
    assert [step["count"] for step in found["steps"]] == [1, count]
