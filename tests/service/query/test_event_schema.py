"""The schema of a project's events equals what going through all of them finds."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from conftest import Filled
from headgate_service.query import event_schema
from headgate_service.query.event_schema import SchemaScope, schema_of
from headgate_service.query.query import parse_query
from hypothesis import given
from hypothesis import strategies as st
from reference import Happened
from strategies import Maker
from test_equal_to_reference import bounded

NOON = 1_770_033_600_000
DAY = 86_400_000


def found(filled: Filled, events: list[Happened], event: str | None = None) -> dict[str, Any]:
    scope = SchemaScope(filled.table, filled.project(events), NOON - DAY, NOON + DAY, event)
    return filled.run(schema_of(scope, filled.rows))


def places(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*place, name))
    elif value is not None:
        kinds = {str: "string", bool: "boolean", int: "number", float: "number"}
        yield place, kinds.get(type(value), "list")


def expected(events: list[Happened]) -> dict[str, dict[str, tuple[int, set[str]]]]:
    """By event's name and property's key, how many hold it, and its types."""
    made: dict[str, dict[str, tuple[int, set[str]]]] = {}
    for event in events:
        properties = made.setdefault(event.event, {})
        for place, kind in places(event.properties):
            if len(place) == 1 or not any("." in part for part in place):
                key = ".".join(place)
                held, kinds = properties.get(key, (0, set()))
                properties[key] = (held + 1, kinds | {kind})
    return made


@bounded
@given(seed=st.integers(0, 2**32), count=st.sampled_from([0, 1, 30]))
def test_properties(filled: Filled, seed: int, count: int) -> None:
    events = Maker(seed).events(count, NOON, DAY - 1, [1.0, 2.5])
    # Two ways to one name, and a name that the engine takes for more, are for other tests.
    for event in events:
        for name in ("x:`Int64`", "a.b", "a.b.c", "a."):
            event.properties.pop(name, None)
    schema, wanted = found(filled, events), expected(events)
    weights = Counter[str]()
    for event in events:
        weights[event.event] += event.weight  # type: ignore[assignment] - a weight may have a fraction
    assert {one["name"]: one["count"] for one in schema["events"]} == weights
    for one in schema["events"]:
        rows = {row["key"]: (row["count"], set(row["types"])) for row in one["properties"]}
        assert rows == wanted[one["name"]]
        total = sum(event.event == one["name"] for event in events)
        assert all(row["share"] == row["count"] / total for row in one["properties"])


def test_what_a_form_needs(filled):
    events = [
        Happened(
            NOON, "buy", properties={"amount": 5, "plan": "pro", "event": "x", "items": [1], "at": {"country": "DE"}}
        ),
        Happened(NOON + 1000, "buy", properties={"amount": 2.5, "plan": "x" * 300}),
        Happened(NOON - 3 * DAY, "old"),
    ]
    (buy,) = found(filled, events)["events"]
    rows = {row["key"]: row for row in buy.pop("properties")}
    assert buy == {
        "name": "buy",
        "count": 2,
        "lastSeen": "2026-02-02T12:00:01.000Z",
        "readForProperties": 2,
        "truncated": False,
    }
    assert rows["amount"] == {
        "key": "amount",
        "types": ["number"],
        "examples": [2.5, 5],
        "count": 2,
        "share": 1.0,
        "lastSeen": "2026-02-02T12:00:01.000Z",
    }
    assert rows["plan"]["examples"] == ["x" * 100, "pro"]
    assert (rows["items"]["types"], rows["items"]["examples"]) == (["list"], [])
    assert (rows["at.country"]["share"], rows["at.country"]["lastSeen"]) == (0.5, "2026-02-02T12:00:00.000Z")
    # Each key is one that a query takes.
    dates = {"start": "2026-02-02", "end": "2026-02-02"}
    request = {"type": "metric", "projectId": "p", "event": "*", "dateRange": dates}
    for key in rows:
        assert parse_query(request | {"filter": {"key": key, "op": "exists"}}, "UTC")
    assert "properties.event" in rows


def test_one_event(filled):
    events = [Happened(NOON, name, properties={"k": 1}) for name in ("a", "b", "b")]
    assert [one["name"] for one in found(filled, events)["events"]] == ["b", "a"]
    assert [one["name"] for one in found(filled, events, "a")["events"]] == ["a"]
    assert found(filled, events, "c") == {"events": [], "truncated": False}


def test_of_many_events_a_part_is_read(filled, monkeypatch):
    monkeypatch.setattr(event_schema, "READ_OF_A_NAME", 10)
    events = [Happened(NOON + n, "often", properties={"k": n}) for n in range(200)] + [Happened(NOON, "rare")]
    often, rare = found(filled, events)["events"]
    assert (often["count"], rare["count"], rare["readForProperties"]) == (200, 1, 1)
    # About a 20th of them.
    assert 0 < often["readForProperties"] < 60
    assert often["properties"][0]["share"] == 1


def test_no_more_than_fits(filled, monkeypatch):
    monkeypatch.setattr(event_schema, "MAX_EVENTS", 2)
    monkeypatch.setattr(event_schema, "MAX_PROPERTIES", 3)
    events = [Happened(NOON, f"e{n}", properties={f"k{m}": m for m in range(5)}) for n in range(3)]
    schema = found(filled, events)
    assert (len(schema["events"]), schema["truncated"]) == (2, True)
    assert all(len(one["properties"]) == 3 and one["truncated"] for one in schema["events"])
