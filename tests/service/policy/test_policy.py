"""What a policy makes of events."""

import asyncio
import json
from typing import Any

import pytest
from headgate.v1 import event_pb2, outcome_pb2
from headgate_service.errors import PolicyInvalid
from headgate_service.policy import decision as judged
from headgate_service.policy.policy import IGNORED_ENVIRONMENT, KEPT, SAMPLED, SWITCHED_OFF, Kept, Policy, Refused
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = b"s" * 32


def policy(project: str = "prj_a", **config: Any) -> Policy:
    return Policy.parse({"formatVersion": 1, **config}, project_id=project, secret=SECRET)


def event(name: str = "view", properties: Any = None, **fields: Any) -> event_pb2.Event:
    made = event_pb2.Event(name=name, **fields)
    if properties is not None:
        made.properties_json = json.dumps(properties).encode()
    return made


def properties_after(made: Policy, properties: Any) -> Any:
    one = event(properties=properties)
    assert made.judge(one) == KEPT
    return json.loads(one.properties_json) if one.properties_json else None


def test_an_empty_config_keeps_every_event_as_it_is():
    one = event(user_id="u", properties={"a": 1})
    one.request.client_ip = "1.2.3.4"
    before = event_pb2.Event()
    before.CopyFrom(one)
    before.distinct_id = "u"
    assert policy().judge(one, "http://localhost") == KEPT
    assert one == before


def test_an_own_entry_comes_before_the_longest_glob_and_that_before_the_default():
    off, on = {"enabled": False}, {"enabled": True}
    made = policy(events={"a_b_c": on, "a_*": off, "a_b_*": on, "*_z": off}, default=off)
    verdicts = {name: made.judge(event(name)) for name in ("a_b_c", "a_x", "a_b_x", "q_z", "other")}
    assert verdicts == {
        "a_b_c": KEPT, "a_x": SWITCHED_OFF, "a_b_x": KEPT, "q_z": SWITCHED_OFF, "other": SWITCHED_OFF,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("glob", "fits", "misfits"),
    [
        ("*", ["", "x"], []),
        ("a*b", ["ab", "axb", "axbxb"], ["a", "aba", "xab"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        ("aa*aa", ["aaaa", "aaxaa"], ["aaa"]),
    ],
)
def test_a_star_stands_for_any_characters(glob: str, fits: list[str], misfits: list[str]):
    made = policy(events={glob: {"enabled": False}})
    assert all(made.judge(event(name)) == SWITCHED_OFF for name in fits)
    assert all(made.judge(event(name)) == KEPT for name in misfits)


def test_sampling_keeps_the_same_users_each_time_and_about_the_share_that_was_asked_for():
    made, again = policy(default={"sample": 0.25}), policy(default={"sample": 0.25})
    kept = {n for n in range(4000) if made.judge(event(distinct_id=f"u{n}")) == KEPT}
    assert kept == {n for n in range(4000) if again.judge(event(distinct_id=f"u{n}", properties={"n": n})) == KEPT}
    # An event's own id decides nothing where its user is known.
    assert kept == {n for n in range(4000) if again.judge(event(distinct_id=f"u{n}", event_id=f"e{n % 7}")) == KEPT}
    assert 850 < len(kept) < 1150
    other = policy("prj_b", default={"sample": 0.25})
    assert kept != {n for n in range(4000) if other.judge(event(distinct_id=f"u{n}")) == KEPT}


def test_a_sampled_event_stands_for_those_that_were_dropped():
    one = next(one for n in range(100) if policy(default={"sample": 0.2}).judge(one := event(user_id=f"u{n}")) == KEPT)
    assert one.sample_weight == 5.0


def test_who_is_kept_at_a_rate_is_kept_at_every_higher_one():
    rates = [policy(default={"sample": rate}) for rate in (0.0, 0.1, 0.5, 0.9, 1.0)]
    for n in range(300):
        verdicts = [made.judge(event(distinct_id=f"u{n}")) for made in rates]
        assert verdicts[0] == SAMPLED
        assert verdicts[-1] == KEPT
        first = verdicts.index(KEPT)
        assert verdicts == [SAMPLED] * first + [KEPT] * (5 - first)


def test_an_event_without_a_user_is_told_by_its_id_or_by_all_it_says():
    made = policy(default={"sample": 0.5})
    by_id = {made.judge(event(event_id=f"e{n}")) for n in range(50)}
    by_content = {made.judge(event(properties={"n": n})) for n in range(50)}
    assert by_id == by_content == {KEPT, SAMPLED}
    assert len({made.judge(event(event_id="e1", properties={"n": n})) for n in range(20)}) == 1


def test_events_of_ignored_environments_are_dropped_by_origin_and_by_field():
    made = policy(
        ignoredEnvironments={
            "origins": ["localhost", "*.test", "http://shop.example:3000", "[::1]"],
            "fields": {"properties.env": ["dev", 1], "user_id": ["robot"], "properties.app.stage": [False]},
        }
    )
    for origin in ("http://localhost:8080", "https://a.b.test", "http://shop.example:3000", "http://[::1]:80"):
        assert made.judge(event(), origin) == IGNORED_ENVIRONMENT
    for origin in (
        "",
        "https://test",
        "https://localhost.example",
        "http://shop.example",
        "null",
        "http://[",
        "localhost",
    ):
        assert made.judge(event(), origin) == KEPT
    for ignored in ({"env": "dev"}, {"env": 1}, {"env": 1.0}, {"env": ["x", "dev"]}, {"app": [{"stage": False}]}):
        assert made.judge(event(properties=ignored)) == IGNORED_ENVIRONMENT
    for kept in ({"env": True}, {"env": "DEV"}, {"env": None}, {"app": {"stage": 0}}):
        assert made.judge(event(properties=kept)) == KEPT
    assert made.judge(event(user_id="robot")) == IGNORED_ENVIRONMENT


def test_origins_are_allowed_where_none_is_named_and_where_one_matches():
    assert policy().allows("https://anywhere.example")
    made = policy(origins=["https://shop.example", "*.shop.example", "null"])
    for origin in ("https://shop.example", "https://shop.example:443", "http://a.shop.example:81", "null"):
        assert made.allows(origin)
    for origin in (
        "http://shop.example",
        "https://shop.example:444",
        "https://shop.example.evil",
        "https://evilshop.example",
    ):
        assert not made.allows(origin)


def test_an_origin_that_is_ignored_is_not_refused():
    made = policy(origins=["https://shop.example"], ignoredEnvironments={"origins": ["localhost"]})
    assert made.allows("http://localhost:3000")
    assert made.judge(event(), "http://localhost:3000") == IGNORED_ENVIRONMENT
    assert not made.allows("https://evil.example")


def test_personal_data_is_dropped_hashed_and_masked_wherever_a_path_leads():
    made = policy(
        pii=[
            {"path": "properties.card.number", "action": "mask"},
            {"path": "properties.emails", "action": "hash"},
            {"path": "properties.secret", "action": "drop"},
            {"path": "properties.people.*.phone", "action": "drop"},
        ]
    )
    after = properties_after(
        made,
        {
            "card": [{"number": 4111, "type": "visa"}, {"number": None}],
            "card.number": "5555",
            "emails": ["a@example.com", {"work": "b@example.com"}],
            "secret": {"deep": [1]},
            "people": {"x": {"phone": "1", "name": "n"}, "y": [{"phone": 2}]},
            "big": 18446744073709551615,
        },
    )
    assert after["card"] == [{"number": "***", "type": "visa"}, {"number": None}]
    assert after["card.number"] == "***"
    assert "secret" not in after
    assert after["people"] == {"x": {"name": "n"}, "y": [{}]}
    assert after["big"] == 18446744073709551615
    first, second = after["emails"][0], after["emails"][1]["work"]
    assert first != second
    assert all(len(made) == 32 and set(made) <= set("0123456789abcdef") for made in (first, second))


def test_a_hash_is_the_same_in_its_project_and_another_in_every_other():
    rules = [{"path": "properties.email", "action": "hash"}, {"path": "user_id", "action": "hash"}]
    one, same, other = policy(pii=rules), policy(pii=rules), policy("prj_b", pii=rules)
    hashed = properties_after(one, {"email": "a@example.com"})
    assert hashed == properties_after(same, {"email": "a@example.com"})
    assert hashed != properties_after(other, {"email": "a@example.com"})
    sent = event(user_id="a@example.com")
    one.judge(sent)
    assert sent.user_id == hashed["email"]


def test_of_very_many_values_that_are_to_be_hashed_none_shows():
    after = properties_after(policy(pii=[{"path": "properties.a", "action": "hash"}]), {"a": ["b0b"] * 1500})
    assert [after["a"].count("***"), len(set(after["a"])), "b0b" in after["a"]] == [500, 2, False]


def test_the_same_path_twice_and_very_many_stars_are_refused():
    twice = [{"path": "user_id", "action": "hash"}, {"path": "user_id", "action": "mask"}]
    with pytest.raises(PolicyInvalid, match="/pii/1/path: is ruled already"):
        policy(pii=twice)
    with pytest.raises(PolicyInvalid, match="/pii: has more than 10 paths with a star"):
        policy(pii=[{"path": f"properties.*.p{n}", "action": "mask"} for n in range(11)])


def test_all_properties_can_go_or_be_masked():
    assert properties_after(policy(pii=[{"path": "properties", "action": "drop"}]), {"a": 1}) is None
    masked = properties_after(policy(pii=[{"path": "properties", "action": "mask"}]), {"a": [1, {"b": "c"}]})
    assert masked == {"a": ["***", {"b": "***"}]}


@pytest.mark.parametrize("field", ["user_id", "anonymous_id", "session_id"])
def test_a_rule_on_a_person_holds_for_the_copy_that_counts_them(field: str):
    hashed = event(**{field: "bob"})
    policy(pii=[{"path": field, "action": "hash"}]).judge(hashed)
    assert "bob" not in str(hashed)
    assert hashed.distinct_id == getattr(hashed, field)
    dropped = event(**{field: "bob", "distinct_id": "bob"})
    policy(pii=[{"path": field, "action": "drop"}]).judge(dropped)
    assert not dropped.distinct_id


def test_who_counts_after_a_drop_is_who_is_left():
    one = event(user_id="bob", session_id="s1")
    policy(pii=[{"path": "user_id", "action": "drop"}]).judge(one)
    assert (one.user_id, one.distinct_id) == ("", "s1")


@pytest.mark.parametrize(
    ("path", "action", "before", "after"),
    [
        ("page.href.query", "drop", "https://a/b?x=1&y=2#f", "https://a/b#f"),
        ("page.href.query.token", "drop", "https://a/b?x=1&token=2&token=3", "https://a/b?x=1"),
        (
            "page.href.query.token",
            "mask",
            "https://a/b?to%6ben=2&x=1#token=4",
            "https://a/b?to%6ben=%2A%2A%2A&x=1#token=4",
        ),
        ("page.href.fragment", "drop", "https://a/b?x=1#token=4", "https://a/b?x=1"),
        ("page.href.query", "mask", "https://a/b?alone", "https://a/b?%2A%2A%2A"),
        ("page.referrer.query", "drop", "https://a/b", "https://a/b"),
        ("page.href", "drop", "https://a/b", ""),
    ],
)
def test_a_part_of_an_address_can_be_ruled(path: str, action: str, before: str, after: str):
    field = path.split(".")[1]
    one = event()
    setattr(one.page, field, before)
    policy(pii=[{"path": path, "action": action}]).judge(one)
    assert getattr(one.page, field) == after
    assert one.HasField("page") == bool(after)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ([("page.href.query.token", "drop")], ""),
        ([("page.href.fragment", "mask")], ""),
        ([("page.href", "mask")], "***"),
        ([("page.href", "drop")], ""),
        ([("page.referrer", "drop")], "https://a/b?to\nken=1"),
    ],
)
def test_what_is_hidden_of_an_address_is_hidden_as_it_was_sent_too(rules: list[tuple[str, str]], kept: str):
    one = event()
    one.page.href, one.page.sent_href = "https://a/b?token=1", "https://a/b?to\nken=1"
    policy(pii=[{"path": path, "action": action} for path, action in rules]).judge(one)
    assert one.page.sent_href == kept


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ("keep", "203.0.113.77", "203.0.113.77"),
        ("truncate", "203.0.113.77", "203.0.113.0"),
        ("truncate", "2001:db8:1:2::3", "2001:db8:1::"),
        ("truncate", "::ffff:203.0.113.77", "203.0.113.0"),
        ("truncate", "fe80::1%eth0", "fe80::"),
        ("truncate", "bob's machine", ""),
        ("drop", "203.0.113.77", ""),
    ],
)
def test_an_address_of_a_client_is_kept_truncated_or_dropped(rule: str, before: str, after: str):
    one = event()
    one.request.client_ip = before
    policy(ip=rule).judge(one)
    assert one.request.client_ip == after


def test_a_watched_schema_warns_and_an_enforced_one_refuses_without_quoting_values():
    schema = {"required": ["amount"], "properties": {"amount": {"type": "number"}, "email": {"format": "email"}}}
    watching = policy(events={"buy": {"schema": schema}})
    enforcing = policy(events={"buy": {"schema": schema, "schemaMode": "enforce"}})
    bad = {"amount": "s3cret", "email": "s3cret"}
    verdict = watching.judge(event("buy", bad))
    assert isinstance(verdict, Kept)
    assert set(verdict.warnings) == {
        'properties.amount: is not of type "number"',
        'properties.email: is not a "email"',
    }
    refused = enforcing.judge(event("buy", bad))
    assert isinstance(refused, Refused)
    assert refused.reason == outcome_pb2.REASON_SCHEMA
    assert "s3cret" not in refused.message
    assert enforcing.judge(event("buy")) == Refused("properties.amount", "is required")
    assert enforcing.judge(event("buy", {"amount": 1})) == KEPT
    assert enforcing.judge(event("other", bad)) == KEPT


def test_a_schema_sees_what_the_client_sent_and_the_log_what_the_rules_left():
    made = policy(
        events={"buy": {"schema": {"properties": {"email": {"format": "email"}}}, "schemaMode": "enforce"}},
        pii=[{"path": "properties.email", "action": "hash"}],
    )
    one = event("buy", {"email": "a@example.com"})
    assert made.judge(one) == KEPT
    assert "example" not in one.properties_json.decode()


DOUBLED = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)} | {"a30": {}}
CHAINED = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(150)} | {"a150": {}}


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        ({"type": "nope"}, "/type", "is not a valid JSON Schema"),
        ({"properties": {"a": {"minimum": "x"}}}, "/properties/a/minimum", "is not of type"),
        ({"$ref": "https://example.com/schema"}, "/$ref", "must point into this schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "/properties/a/$ref", "must point into this schema"),
        ({"not": {"$id": "https://example.com/"}}, "/not/$id", "is not taken here"),
        ({"$dynamicRef": "#a"}, "/$dynamicRef", "is not taken here"),
        ({"$ref": "#"}, "/$ref", "leads back to itself"),
        ({"properties": {"a": {"$ref": "#"}}}, "/properties/a/$ref", "leads back to itself"),
        ({"$ref": "#/$defs/none"}, "/$ref", "points at nothing"),
        ({"$defs": DOUBLED, "$ref": "#/$defs/a0"}, "", "make it simpler"),
        ({"$defs": CHAINED, "$ref": "#/$defs/a0"}, "/$defs/a99", "make it flatter"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern", "not too large"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "/properties/a/pattern", "no look-around"),
        ({"format": "regex"}, "/format", "is not taken"),
        ({"enum": list(range(3000))}, "", "make it simpler"),
        ({"$schema": "https://example.com/mine"}, "/$schema", "is none of"),
    ],
)
def test_a_schema_that_could_lead_out_or_without_end_is_refused(schema: Any, path: str, words: str):
    with pytest.raises(PolicyInvalid) as caught:
        policy(events={"buy": {"schema": schema}})
    (fault,) = caught.value.faults
    assert fault.path == f"/events/buy/schema{path}"
    assert words in fault.message


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"properties": {"$ref": {"type": "string"}, "$id": {}}, "const": {"$ref": "https://example.com/"}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {}},
            "items": {"$ref": "#/definitions/a"},
        },
        {"$id": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}}},
    ],
)
def test_a_plain_schema_is_taken(schema: Any):
    policy(default={"schema": schema})


HUGE: list[tuple[Any, Any]] = [
    ({"items": {"anyOf": [{"const": -n} for n in range(900)]}}, [1] * 10_000),
    ({"items": {"enum": [f"v{n}" for n in range(900)]}}, ["x"] * 10_000),
    ({"allOf": [{"pattern": f"^[a-m]+{n}$"} for n in range(450)]}, "a" * 60_000),
    ({"patternProperties": {f"^p{n}.*z$": {} for n in range(900)}}, {f"p{n}": 1 for n in range(5_000)}),
]


@pytest.mark.parametrize(("schema", "value"), HUGE)
def test_an_event_that_would_take_too_long_to_check_does_not_fit(schema: Any, value: Any):
    made = policy(default={"schema": {"properties": {"a": schema}}, "schemaMode": "enforce"})
    refused = made.judge(event(properties={"a": value}))
    assert isinstance(refused, Refused)
    assert "values to be checked by this schema" in refused.message


def test_of_an_event_with_very_many_faults_the_first_is_told():
    made = policy(default={"schema": {"properties": {"a": {"items": {"type": "string"}}}}})
    few, many = event(properties={"a": [1] * 3}), event(properties={"a": [1] * 20_000})
    assert [len(verdict.warnings) for verdict in map(made.judge, (few, many)) if isinstance(verdict, Kept)] == [3, 1]


def test_the_patterns_of_a_config_take_so_much_memory_together():
    """Of 90 KiB each, compiled."""

    def with_patterns(count: int, pattern: str) -> dict[str, Any]:
        each = {
            f"e{n}": {"schema": {"allOf": [{"pattern": f"{pattern}{n}x{i}"} for i in range(50)]}} for n in range(count)
        }
        return each | {"named": {"schema": {"patternProperties": {f"{pattern}y": {}}}}}

    policy(events=with_patterns(4, "[a-z]{2000}"))
    with pytest.raises(PolicyInvalid, match="not too large"):
        policy(events=with_patterns(20, "[a-z]{2000}"))
    policy(events=with_patterns(20, "^[^@]+@[^@]+"))


def test_a_pattern_takes_time_linear_in_the_text():
    made = policy(default={"schema": {"properties": {"a": {"pattern": "^(a+)+$"}}}, "schemaMode": "enforce"})
    assert isinstance(made.judge(event(properties={"a": "a" * 30_000 + "b"})), Refused)


def test_a_glob_fits_a_long_name_by_how_it_begins_and_ends():
    made = policy(events={"a*b": {"enabled": False}})
    assert made.judge(event("a" + "x" * 30_000 + "b")) == SWITCHED_OFF
    assert made.judge(event("a" + "x" * 30_000)) == KEPT
    assert made.judge(event("x" * 30_000 + "b")) == KEPT


@pytest.mark.parametrize(
    "config",
    [
        {"pii": [{"path": f"properties.a.b{number}", "action": "hash"} for number in range(200)]},
        {"ignoredEnvironments": {"fields": {f"properties.a.b{number}": ["x"] for number in range(200)}}},
    ],
)
def test_an_event_with_too_many_elements_for_so_many_paths_does_not_fit(config: Any):
    made = policy(**config)
    refused = made.judge(event(properties={"a": [{"b": number} for number in range(5_000)]}))
    assert isinstance(refused, Refused)
    assert (refused.field, refused.message[:25]) == ("properties", "must hold at most 625 ele")
    assert made.judge(event(properties={"a": [{"b": number} for number in range(300)], "t": "x" * 30_000})) == KEPT
    assert made.judge(event(properties={f"k{number}": number for number in range(4_000)})) == KEPT


def test_parts_of_addresses_are_so_few_that_no_address_takes_long():
    rules = [{"path": f"page.href.query.q{number}", "action": "drop"} for number in range(31)]
    with pytest.raises(PolicyInvalid, match="more than 30 parts of addresses"):
        policy(pii=rules)
    policy(pii=rules[:30])


def test_globs_are_so_few_that_no_name_takes_long():
    globs = {f"a{number}*": {} for number in range(101)}
    with pytest.raises(PolicyInvalid, match="more than 100 names with a star"):
        policy(events=globs)
    policy(events={f"a{number}": {} for number in range(500)} | dict(list(globs.items())[:100]))


async def test_a_request_that_takes_long_lets_others_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judged, "TURN_SECONDS", 0.0)
    made = policy(events={"off": {"enabled": False}})
    events = [event("off" if number % 2 else "on") for number in range(100)]
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    counting = asyncio.create_task(count())
    found = await judged.judge(made, events, "")
    counting.cancel()
    assert list(found.dropped) == list(range(1, 100, 2))
    assert others >= 90


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b", "*", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "a.b", "c"]), JSON, max_size=4))
def test_nothing_at_a_hidden_path_gets_through_and_nothing_else_is_touched(properties: Any):
    made = policy(pii=[{"path": "properties.a.b", "action": "drop"}, {"path": "properties.c", "action": "mask"}])
    after = properties_after(made, properties) or {}
    assert "a.b" not in after
    assert "b" not in str(_names(after.get("a"))).replace("a.b", "")
    assert after.get("b") == properties.get("b")
    assert set(_leaves(after.get("c"))) <= {"***", None}


def _names(value: Any) -> list[str]:
    """The names of an object, or of the objects of an array however deep."""
    if isinstance(value, list):
        return [name for inner in value for name in _names(inner)]
    return list(value) if isinstance(value, dict) else []


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        return [leaf for inner in (value.values() if isinstance(value, dict) else value) for leaf in _leaves(inner)]
    return [value]
