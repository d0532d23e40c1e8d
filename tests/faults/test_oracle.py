"""The oracle notices what it is there to notice."""

import dataclasses

import pytest

from tests.faults.oracle import Content, Delivered, Oracle


@pytest.fixture
def oracle() -> Oracle:
    oracle = Oracle()
    oracle.issued |= {"a1", "a2", "r1", "u1"}
    oracle.acknowledged |= {"a1", "a2"}
    oracle.refused.add("r1")
    return oracle


def held(*ids: str) -> list[Delivered]:
    return [Delivered(Content.of(one), f"id of {one}") for one in ids]


@pytest.mark.parametrize("ids", [("a1", "a2"), ("a2", "u1", "a1")])
def test_all_that_was_acknowledged_and_some_that_is_unknown_is_right(oracle: Oracle, ids: tuple[str, ...]) -> None:
    assert oracle.unknown == {"u1"}
    assert oracle.faults("sink", held(*ids)) == []


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("a1",), "a2: acknowledged and not delivered"),
        (("a1", "a2", "r1"), "r1: refused and delivered"),
        (("a1", "a2", "x"), "x: never sent"),
        (("a1", "a2", "u1", "a1"), "a1: delivered more than once"),
    ],
)
def test_what_is_lost_doubled_refused_or_made_up_is_said(oracle: Oracle, ids: tuple[str, ...], said: str) -> None:
    assert any(said in fault for fault in oracle.faults("sink", held(*ids)))


def test_a_changed_content_and_a_shared_event_id_are_said(oracle: Oracle) -> None:
    first, second = held("a1", "a2")
    other = dataclasses.replace(second.content, name="other")
    changed = dataclasses.replace(second, content=other, event_id=first.event_id)
    assert [fault.partition(": ")[2] for fault in oracle.faults("sink", [first, changed])] == [
        "id of a1: an event id more than once",
        "a2: another content than was sent",
    ]


def test_an_answer_that_no_fault_explains_is_said(oracle: Oracle) -> None:
    oracle.surprises.append("422 reused")
    assert oracle.faults("sink", held("a1", "a2")) == ["at the door: 422 reused"]
