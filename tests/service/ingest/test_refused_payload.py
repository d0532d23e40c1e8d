"""What is kept of a refused request's content."""

import json

import pytest
from headgate.v1 import event_pb2
from headgate_service.ingest.refused_payload import MAX_BYTES, payload_of
from headgate_service.policy.policy import Policy

CONFIG = {"formatVersion": 1, "pii": [{"path": "properties.email", "action": "mask"}]}


@pytest.fixture
def policy() -> Policy:
    return Policy.parse(CONFIG, project_id="p", secret=b"s")


def test_without_rules_it_is_as_it_was_sent():
    assert payload_of(b'{"event": 7', [], None) == ('{"event": 7', False, False)


@pytest.mark.parametrize("key", ["pk_live_abcdef123456", "sk_live_abcdef123456", "org_live_abcdef_123456"])
def test_keys_are_masked(key):
    assert key[8:] not in payload_of(json.dumps({"apiKey": key}).encode(), [], None).text


def test_under_rules_values_of_what_was_sent_are_masked(policy):
    sent = {"event": "signup", "email": "ada@example.com", "nested": [{"n": 5, "none": None}]}
    payload = payload_of(json.dumps(sent).encode(), [], policy)
    assert json.loads(payload.text) == {"event": "signup", "email": "***", "nested": [{"n": "***", "none": None}]}


def test_under_rules_what_cannot_be_read_is_hidden(policy):
    assert payload_of(b'{"email": "ada@exa', [], policy) == ("", False, True)


def test_an_event_that_was_understood_is_redacted_by_the_rules(policy):
    event = event_pb2.Event(name="signup", properties_json=b'{"email": "ada@example.com", "plan": "pro"}')
    payload = payload_of(b"", [event], policy)
    assert json.loads(payload.text) == {
        "name": "signup",
        "distinctId": "",
        "properties": {"email": "***", "plan": "pro"},
    } or json.loads(payload.text) == {"name": "signup", "properties": {"email": "***", "plan": "pro"}}
    assert b"ada@example.com" in event.properties_json


def test_it_is_bounded():
    payload = payload_of(b"", [event_pb2.Event(name="x" * 10_000)], None)
    assert (len(payload.text), payload.cut) == (MAX_BYTES, True)
