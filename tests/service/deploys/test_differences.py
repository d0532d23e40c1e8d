"""What another policy would make of stored events."""

import json

from headgate.v1 import event_pb2
from headgate_service.deploys.preview import differences, outcome
from headgate_service.policy.policy import Policy

AMOUNT = {"required": ["amount"]}


def policy(**config) -> Policy:
    return Policy.parse({"formatVersion": 1, **config}, project_id="prj_a", secret=b"s")


def event(name: str, **properties) -> event_pb2.Event:
    return event_pb2.Event(name=name, user_id="u", distinct_id="u", properties_json=json.dumps(properties).encode())


def test_only_events_that_are_treated_otherwise_are_named_with_what_became_of_them():
    before = policy(events={"off": {"enabled": False}, "seen": {"schema": AMOUNT}})
    after = policy(events={"view": {"enabled": False}, "seen": {"schema": AMOUNT, "schemaMode": "enforce"}})
    stored = [event("view"), event("off"), event("seen"), event("seen", amount=1), event("other")]
    found = {one.event.name: (outcome(one.before), outcome(one.after)) for one in differences(before, after, stored)}
    assert found == {
        "view": ("kept", "dropped: switched_off"),
        "off": ("dropped: switched_off", "kept"),
        "seen": ("kept with warnings", "refused"),
    }


def test_what_would_be_stored_otherwise_is_named_by_its_path():
    after = policy(pii=[{"path": "properties.card.number", "action": "mask"}, {"path": "user_id", "action": "drop"}])
    stored = event("buy", card={"number": 4111, "type": "visa"})
    (one,) = differences(None, after, [stored])
    assert set(one.changed) == {"/user_id", "/distinct_id", "/properties/card/number"}
    assert stored.user_id == "u"


def test_a_rule_that_both_have_makes_no_difference_though_it_was_applied_before():
    rules = [{"path": "user_id", "action": "hash"}]
    before, after = policy(pii=rules), policy(pii=rules, events={"x": {"sample": 0.5}})
    stored = event("view")
    before.judge(stored)
    assert list(differences(before, after, [stored])) == []
    assert list(differences(None, None, [stored])) == []


def test_a_weight_that_would_be_another_is_a_difference():
    stored = next(
        one for n in range(100) if policy(default={"sample": 0.5}).judge(one := event(f"e{n}")) and one.sample_weight
    )
    (one,) = differences(None, policy(default={"sample": 0.5}), [stored])
    assert one.changed == ("/sample_weight",)
