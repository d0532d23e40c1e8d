"""API 1 limits nothing but the body: an event that is larger than it may be is cut and taken."""

import json
from typing import Any

import pytest
from headgate.v1 import event_pb2, outcome_pb2
from headgate_dialects.builtin.codcompass import Codcompass
from headgate_dialects.parts import codcompass_usual
from headgate_dialects.sdk.dialect import Inbound, Parsed

KIB = 1024


def parse(*events: Any) -> Parsed:
    return Codcompass().parse(Inbound({}, json.dumps({"events": events}, ensure_ascii=False).encode()))


def one(event: dict[str, Any]) -> tuple[event_pb2.Event, dict[str, Any]]:
    (read,) = parse(event).events
    return read, json.loads(read.properties_json or "{}")


def test_a_long_string_keeps_its_first_32_kib() -> None:
    read, properties = one({"type": "a", "payload": {"text": "x" + "\u00e9" * 20 * KIB, "other": {"n": 1}}})
    assert properties == {"text": "x" + "\u00e9" * (16 * KIB - 1), "other": {"n": 1}, "$truncated": True}
    assert read.name == "a"


@pytest.mark.parametrize("field", ["type", "userId", "sessionId"])
def test_a_long_name_or_id_keeps_its_first_32_kib(field: str) -> None:
    read, properties = one({"type": "a", field: "x" * 40 * KIB})
    canonical = {"type": read.name, "userId": read.user_id, "sessionId": read.session_id}[field]
    assert canonical == "x" * 32 * KIB
    assert properties == {"$truncated": True}


def test_a_long_key_and_strings_in_arrays_are_cut() -> None:
    _, properties = one({"type": "a", "payload": {"k" * 40 * KIB: 1}})
    assert properties == {"k" * 32 * KIB: 1, "$truncated": True}
    _, properties = one({"type": "a", "payload": {"list": [["x" * 40 * KIB]]}})
    assert properties == {"list": [["x" * 32 * KIB]], "$truncated": True}


def test_the_largest_value_of_a_large_event_is_replaced() -> None:
    numbers = [1] * 40 * KIB
    _, properties = one({"type": "a", "payload": {"numbers": numbers, "text": "x" * 30 * KIB}, "more": 2})
    assert properties == {"numbers": {"$truncated": True, "bytes": 80 * KIB + 1}, "text": "x" * 30 * KIB, "more": 2}
    _, properties = one({"type": "a", "payload": [numbers]})
    assert properties == {"$truncated": True, "bytes": 80 * KIB + 3}


def test_of_a_large_event_no_more_is_replaced_than_must_be() -> None:
    _, properties = one({"type": "a", "payload": {f"k{n}": "x" * 15 * KIB for n in range(6)}})
    assert sum(type(value) is str for value in properties.values()) == 4


def test_many_small_properties_are_replaced_as_one() -> None:
    payload = {f"k{n}": n for n in range(10_000)}
    read, properties = one({"type": "a", "userId": "u", "payload": payload, "more": 1})
    size = len(json.dumps(payload | {"more": 1}, separators=(",", ":")))
    assert properties == {"$truncated": True, "bytes": size}
    assert (read.name, read.user_id) == ("a", "u")


def test_a_name_and_ids_that_are_too_large_together_are_cut() -> None:
    read, properties = one({"type": "\u0001" * 30 * KIB, "userId": "\u0002" * 30 * KIB, "sessionId": "s" * 32 * KIB})
    sizes = [len(json.dumps(text)) for text in (read.name, read.user_id, read.session_id)]
    assert min(sizes) > 2 * KIB
    assert sum(sizes) < 64 * KIB
    assert properties == {"$truncated": True}


def test_64_kib_is_the_most_and_nothing_of_it_is_cut() -> None:
    event = {"type": "a", "payload": {"k": ["", ""]}}
    room = 64 * KIB - len(json.dumps(event, separators=(",", ":")))
    event = {"type": "a", "payload": {"k": ["x" * (room // 2), "y" * (room - room // 2)]}}
    assert one(event)[1] == event["payload"]
    _, properties = one(event | {"userId": "u"})
    assert properties == {
        "k": {"$truncated": True, "bytes": len(json.dumps(event["payload"]["k"], separators=(",", ":")))}
    }


def test_the_short_way_takes_nothing_oversize() -> None:
    body = json.dumps({"events": [{"type": "a", "payload": {"k": [1] * 40 * KIB}}]}).encode()
    assert codcompass_usual.usual_request(body) is None


def test_every_element_is_an_event_or_refused_with_a_reason() -> None:
    parsed = parse(1, {"type": "a"}, None, {"type": "b", "payload": "x" * 70 * KIB}, [])
    assert [event.name for event in parsed.events] == ["a", "b"]
    assert (parsed.refused, parsed.refused_reason) == (3, outcome_pb2.REASON_NOT_AN_OBJECT)
    assert list(parsed.places) == [1, 3]
