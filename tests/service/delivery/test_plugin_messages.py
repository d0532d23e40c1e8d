"""What crosses the pipe to a plugin's process comes out as it went in."""

import dataclasses

import pytest
from headgate.v1 import event_pb2, plugin_pb2
from headgate_service.delivery.plugin_worker.channel import (
    batch_of,
    described,
    description_of,
    outcome_message,
    outcome_of,
    write_of,
)
from headgate_sinks import Batch, Limits, Misconfigured, Reject, Repeats, Result, Retry, Spec, TooLarge

BATCH = Batch("id", "epoch", 7, 8, 9, [event_pb2.Event(name="a", properties_json=b'{"n":9007199254740993}')], 10)
SPEC = Spec(
    limits=Limits(1, 2, 3.5),
    concurrency=11,
    repeats=Repeats.NUMBER,
    when_full="refuse",
    write_seconds=12.5,
    per_event=False,
)


def crossed(message):
    return type(message).FromString(message.SerializeToString())


def defaults(value):
    """The fields that a round trip could lose unnoticed, because they are what they would be without it."""
    return [
        field.name
        for field in dataclasses.fields(value)
        if getattr(value, field.name) == field.default
        or (field.default_factory is not dataclasses.MISSING and getattr(value, field.name) == field.default_factory())
    ]


def test_a_batch_crosses_whole():
    assert defaults(BATCH) == [], "give the new field a value of its own here, and let it cross"
    assert batch_of(crossed(write_of(BATCH))) == BATCH


def test_a_spec_crosses_whole():
    assert defaults(SPEC) == [], "give the new field a value of its own here, and let it cross"
    limits = Limits(4, 5, 6.5)
    assert described(crossed(description_of(SPEC, limits))) == (SPEC, limits)


OUTCOMES = [
    Result(),
    Result((Reject((0, 2), "http_422", "no"), Reject((1,), "other", "neither"))),
    Retry("later", 1.5, (0, 3)),
    Retry("at once", 0.0),
    Retry(),
    Misconfigured("mend it"),
    TooLarge("half"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_an_outcome_crosses_whole(outcome):
    came = outcome_of(crossed(outcome_message(outcome)))
    assert type(came) is type(outcome)
    if isinstance(outcome, Exception):
        assert vars(came) == vars(outcome)
    else:
        assert came == outcome


def test_a_message_that_is_no_text_still_crosses():
    came = outcome_of(crossed(outcome_message(Retry(ValueError("broken \ud800")))))  # type: ignore[arg-type]
    assert came.message == "broken ?"


def test_no_answer_at_all_is_tried_again():
    assert isinstance(outcome_of(plugin_pb2.SinkOutcome()), Retry)
