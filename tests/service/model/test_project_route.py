"""Which routes a project may bring, and that none of those takes long."""

import pytest
from headgate.v1 import event_pb2
from headgate_service.model.checked_expression import ExpressionUnreadable, read_expression
from headgate_service.model.project_route import MAX_COST, pattern_cost, project_route
from headgate_service.model.route import Route, RouteInvalid


@pytest.mark.parametrize(
    "source",
    [
        'event.name == "purchase" && properties.amount > 100.0',
        'event.name in ["purchase", "refund"]',
        '"x" in properties.list',
        "event.name == \"exists(\" || event.name == 'all(' // map(",
        "has(properties.map)",
        'event.page.path.matches("^/(shop|cart)/[0-9]+$")',
        'matches(event.page.path, "[0-9]{4}-[0-9]{2}")',
        r'properties.mail.matches(r"@example\.(com|org)$")',
        " || ".join(f'event.page.path.startsWith("/p{n}")' for n in range(20)),
        'timestamp(properties.at).getHours("Europe/Berlin") > 12',
        'event.receive_time - event.occur_time > duration("1s")',
        'properties.a == properties.b || properties.c == {"x": [1]} || properties.s.contains(properties.p)',
        "properties.l[0] == -1 && !(1.5 / 2.0 > 3.0) && int(properties.x) % 2 == 1 && type(properties.x) == int",
        'properties.a ? string(properties.n) + "x" == "1x" : size(properties.l) > 3',
    ],
)
def test_what_takes_no_time_is_taken(source):
    assert 0 <= project_route(source).cost <= MAX_COST


ATTACK = " || ".join(["properties.s.matches(properties.p)"] * 25)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (ATTACK, "a pattern that is not a constant"),
        ('properties.s.matches("a" + properties.p)', "a pattern that is not a constant"),
        ('"""\\"""" == "" || properties.list.all(x, x == "")', "goes through a list"),
        ("properties.list.\n//\n map (x, x).size() > 1", "goes through a list"),
        ("size(properties.list.filter(x, x > 1)) > 1", "goes through a list"),
        ("properties.list.exists_one(x, x > 1)", "goes through a list"),
        ('properties.s.matches("((a?){1000}(a?){1000}){1,1}c")', "could take too long"),
        ('properties.s.matches("(a?){30}")', "could take too long"),
        ('properties.s.matches("a.{39}c")', "could take too long"),
        ('properties.s.matches("a.{3,}{39}c")', "could take too long"),
        (r'properties.s.matches(r"[\]](a?){1000}")', "could take too long"),
        (r'properties.s.matches(r"\Q[\E(a?)")', "has \\Q in a pattern"),
        (r'properties.s.matches(r"\pL\p{Greek}")', "has \\p in a pattern"),
        ('(properties.s + properties.s + properties.s).matches("a[ab]{12}")', "could take too long"),
        (" || ".join(["properties.l == properties.m"] * 21), "could take too long"),
        (" || ".join(["properties.s.contains(properties.p)"] * 13), "could take too long"),
        ("event.receive_time.getHours(properties.zone) > 1", "a time zone that is not a constant"),
        ('event.receive_time.getHours("/dev/zero") > 1', "takes a time zone such as"),
        ('event == headgate.v1.Event{name: "a"}', "builds a headgate.v1.Event"),
        (" || ".join(["1==2"] * 110), "has more than 200 parts"),
        ("true || " * 130 + "true", "longer than 1000"),
    ],
)
def test_what_could_hold_everybody_up_is_refused(source, said):
    Route(source)
    with pytest.raises(RouteInvalid, match=said.replace("\\", "\\\\").replace("(", "\\(")):
        project_route(source)


def test_the_operators_routes_are_not_bounded():
    assert Route("properties.l.exists(x, x == 1)").takes(event_pb2.Event(name="x", properties_json=b'{"l": [1]}'))


@pytest.mark.parametrize("pattern", ["a", "a{3}", "a{3,}", "a{0,3}", "[a-z]{3}", "(ab){3}", "(ab){3}c{4}", "a{,3}"])
def test_a_repetition_never_costs_less_than_what_it_stands_for(pattern):
    spelled = {"a{3}": "aaa", "a{3,}": "aaa+", "a{0,3}": "a?a?a?", "[a-z]{3}": "[a-z][a-z][a-z]"}
    spelled |= {"(ab){3}": "(ab)(ab)(ab)", "(ab){3}c{4}": "(ab)(ab)(ab)cccc"}
    assert pattern_cost(pattern) >= pattern_cost(spelled.get(pattern, pattern))


@pytest.mark.parametrize("torn", [b"", b"\x12", b"\x12\x05\x22", b"\xff" * 12, b"\x13", b"\x12\x02\x22\x00"])
def test_what_is_no_expression_is_told(torn):
    with pytest.raises(ExpressionUnreadable):
        read_expression(torn, 10)
