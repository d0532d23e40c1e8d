"""When batches of a sink close."""

from types import SimpleNamespace

import pytest
from headgate_service.delivery.sink_runner import SinkRunner
from headgate_service.model.sink import SinkSpec
from headgate_sinks import Limits


def runner(name: str, age: float) -> SinkRunner:
    sink = SimpleNamespace(limits=Limits(age=age), known=None)
    return SinkRunner(SinkSpec(name=name, use="x"), sink, lambda: 0.0)


@pytest.mark.parametrize("age", [0.01, 0.25, 1.0, 300.0])
def test_a_batch_closes_within_its_age_at_the_same_moment_as_those_of_other_shards(age):
    one = runner("jsonl", age)
    moments = set()
    for step in range(1000):
        since = 1_000_000 + step * age / 250
        closes = one.closes(since)
        assert since - 1e-6 < closes <= since + age + 1e-6
        moments.add(round(closes, 6))
    assert len(moments) in (4, 5)


def test_sinks_of_other_names_close_at_other_moments():
    assert len({round(runner(f"hook-{number}", 1.0).closes(1000.0), 3) for number in range(100)}) > 50


def test_one_that_gathers_nothing_closes_at_once():
    assert runner("jsonl", 0.0).closes(5.5) == 5.5
