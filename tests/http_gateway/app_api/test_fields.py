from datetime import UTC, datetime
from typing import Any

import pytest
from headgate_gateway.app_api.fields import Field, FieldInvalid, Kind, read_body, read_query

FIELDS = (
    Field("name", required=True),
    Field("count", Kind.INTEGER, bounds=(1, 1000)),
    Field("on", Kind.FLAG),
    Field("at", Kind.TIME),
    Field("ids", Kind.TEXTS),
    Field("config", Kind.OBJECT),
)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_body_is_read_as_it_is() -> None:
    body = {"name": "n", "count": 3, "on": False, "at": "2026-11-25T13:00:00+01:00", "ids": ["a"], "config": {"x": 1}}
    assert read_body(FIELDS, body) == {**body, "at": NOON}
    assert read_body(FIELDS, {"name": "", "count": None}) == {"name": ""}


def test_a_query_is_read_from_text() -> None:
    query = {"name": "n", "count": "3", "on": "true", "at": "2026-11-25T12:00:00Z"}
    assert read_query(FIELDS, query) == {"name": "n", "count": 3, "on": True, "at": NOON}
    assert read_query(FIELDS, {"name": "n", "on": "0", "at": "2026-11-25 12:00"}) == {
        "name": "n",
        "on": False,
        "at": NOON,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        (None, "body"),
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "a" * 4097}, "name"),
        ({"name": "n", "nmae": "n"}, "nmae"),
        ({"name": "n", "count": True}, "count"),
        ({"name": "n", "count": 1.0}, "count"),
        ({"name": "n", "count": 0}, "count"),
        ({"name": "n", "count": 1001}, "count"),
        ({"name": "n", "on": 1}, "on"),
        ({"name": "n", "at": 5}, "at"),
        ({"name": "n", "at": "noon"}, "at"),
        ({"name": "n", "at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"name": "n", "ids": ["a", 1]}, "ids"),
        ({"name": "n", "config": []}, "config"),
    ],
)
def test_what_does_not_fit_is_named(body: Any, field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        read_body(FIELDS, body)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"count": "3"}, "name"),
        ({"name": "n", "count": "3.0"}, "count"),
        ({"name": "n", "count": "9" * 30}, "count"),
        ({"name": "n", "on": "yes"}, "on"),
        ({"name": "n", "ids": "a"}, "ids"),
        ({"name": "n", "colour": "red"}, "colour"),
    ],
)
def test_so_is_what_does_not_fit_into_a_query(query: dict[str, str], field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        read_query(FIELDS, query)
    assert refused.value.field == field
