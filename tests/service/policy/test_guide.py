"""The example of docs/guide/policy.md does what the guide says."""

import json
import re
from pathlib import Path

import pytest
from headgate.v1 import event_pb2
from headgate_service.errors import PolicyInvalid
from headgate_service.policy.headgate_yaml import compile_yaml
from headgate_service.policy.policy import IGNORED_ENVIRONMENT, KEPT, SWITCHED_OFF, Kept, Policy, Refused

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "policy.md"
EXAMPLE = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def policy() -> Policy:
    assert EXAMPLE
    compiled = compile_yaml(EXAMPLE[1], lambda name: "").canonical()
    return Policy.parse(compiled, project_id="prj_a", secret=b"s")


def event(name: str, **properties) -> event_pb2.Event:
    return event_pb2.Event(name=name, properties_json=json.dumps(properties).encode())


def test_the_example_keeps_drops_and_refuses_as_the_guide_says(policy: Policy):
    assert policy.judge(event("debug_x")) == SWITCHED_OFF
    assert policy.judge(event("other"), "http://localhost:3000") == IGNORED_ENVIRONMENT
    assert policy.judge(event("other", env="staging")) == IGNORED_ENVIRONMENT
    assert isinstance(policy.judge(event("purchase", amount=1, currency="GBP")), Refused)
    assert isinstance(policy.judge(event("signup")), Kept)
    assert policy.judge(event("signup")) != KEPT
    kept = sum(policy.judge(event_pb2.Event(name="page_view", user_id=f"u{n}")) == KEPT for n in range(1000))
    assert 50 < kept < 150
    assert policy.allows("https://eu.shop.example")
    assert not policy.allows("https://evil.example")
    assert [one["id"] for one in policy.experiments([], test=False)] == ["exp_checkout"]


def test_the_example_hides_what_the_guide_says(policy: Policy):
    one = event("purchase", amount=1, currency="EUR", email="a@example.com", card={"number": "4111"})
    one.user_id, one.page.href, one.request.client_ip = "bob", "https://shop.example/?token=t0k3n&x=1", "203.0.113.77"
    assert policy.judge(one) == KEPT
    text = str(one)
    for hidden in ("bob", "a@example.com", "4111", "t0k3n", "203.0.113.77"):
        assert hidden not in text
    assert one.page.href == "https://shop.example/?x=1"


def test_the_fault_that_the_guide_shows_is_what_is_said():
    with pytest.raises(PolicyInvalid) as caught:
        compile_yaml("events: {a: {sampel: 0.1}}", lambda name: "")
    assert str(caught.value) in GUIDE.read_text()
