"""What a route takes, and what is said of one that is wrong."""

import pytest
from headgate.v1 import event_pb2
from headgate_service.model.route import Route, RouteFailed, RouteInvalid

PURCHASE = event_pb2.Event(
    name="purchase",
    user_id="u1",
    page=event_pb2.Page(path="/shop"),
    properties_json=b'{"amount": 149.5, "plan": "pro", "n": 9007199254740993, "tags": ["a"], "deep": {"x": null}}',
)


@pytest.mark.parametrize(
    "source",
    [
        'event.name == "purchase" && properties.amount > 100.0',
        'event.page.path.startsWith("/sh") && !has(event.experiment)',
        "properties.amount > 100",
        "properties.n == 9007199254740993",
        '"a" in properties.tags',
        "properties.deep.x == null",
        "!has(properties.other) || properties.other > 1",
        'properties["plan"] in ["pro", "team"]',
        "event.test == false",
    ],
)
def test_it_takes(source):
    assert Route(source).takes(PURCHASE)


@pytest.mark.parametrize("source", ['event.name == "x" && properties.amount > 100.0', "has(properties.other)", "false"])
def test_it_leaves(source):
    assert not Route(source).takes(PURCHASE)


@pytest.mark.parametrize("source", ["properties.other > 1", "properties.plan > 1", "properties.amount"])
def test_it_cannot_tell(source):
    with pytest.raises(RouteFailed):
        Route(source).takes(PURCHASE)


def test_an_event_without_properties_has_none():
    assert Route("size(properties) == 0").takes(event_pb2.Event(name="x"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("event.nam == 'x'", "column 6: undefined field 'nam'"),
        ("evnt.name == 'x'", "column 5: undeclared reference to 'evnt.name'"),
        ("event.name == 'x' &&\n  foo", "line 2, column 3: undeclared reference to 'foo'"),
        ("event.name > 1", "column 12: found no matching overload"),
        ("event.name ==", "column 14: Syntax error"),
        ("", "column 1: Syntax error"),
        ("event.name", "says STRING, not BOOL"),
        ("size(properties)", "says INT, not BOOL"),
        ("\ud800", "compile()"),
        ("true || " * 1000 + "true", "longer than 4096"),
    ],
)
def test_a_wrong_one_is_told_with_its_place(source, said):
    with pytest.raises(RouteInvalid) as caught:
        Route(source)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
