"""The forwarder's decisions that need nothing running."""

from pathlib import Path

import pytest
from headgate.v1 import event_pb2
from headgate_service.delivery.backoff import Backoff
from headgate_service.delivery.config import Config
from headgate_service.delivery.lease import fair_share
from headgate_service.delivery.log_range import LogRange, Mark
from headgate_service.delivery.safeguards import RejectionGuard
from headgate_service.delivery.sealed_batches import batch_id
from headgate_service.delivery.settlement import Attempts, of_result
from headgate_service.log.position import Position
from headgate_service.model.sink import SinkSpec
from headgate_sinks import Reject, Result


def test_pauses_grow_to_a_bound_with_full_jitter():
    longest = Backoff(0.5, 60, lambda: 1.0)
    assert [longest.seconds(attempt) for attempt in (1, 2, 3, 8, 9, 5000)] == [0.5, 1, 2, 60, 60, 60]
    assert Backoff(0.5, 60, lambda: 0.5).seconds(3) == 1
    assert Backoff(0.5, 60, lambda: 0.0).seconds(3) == 0.05


@pytest.mark.parametrize(("after", "expected"), [(7, 7), (0, 0.05), (-5, 0.05), (999_999, 3600)])
def test_what_the_target_asks_for_is_honoured_up_to_an_hour(after, expected):
    assert Backoff(0.5, 60, lambda: 1.0).seconds(4, after) == expected


@pytest.mark.parametrize("forwarders", [1, 2, 3, 5, 64, 70])
def test_all_shards_are_shared_and_none_has_two_more_than_another(forwarders):
    owners = [f"o{index}" for index in range(forwarders)]
    shares = [fair_share(owner, owners, 64) for owner in owners]
    assert sum(shares) == 64
    assert max(shares) - min(shares) <= 1


def test_a_forwarder_that_is_not_listed_yet_counts_itself():
    assert fair_share("b", ["a"], 64) == 32


def test_a_batch_id_fits_its_bound():
    assert batch_id("0123456789abcdef", "hook", 7, 123) == "0123456789abcdef-hook-s07-000123"
    assert len(batch_id("0" * 16, "s" * 40, 63, 10**30)) <= 100


def test_rejected_events_are_dead_by_ordinal_and_the_others_delivered():
    def part(project: str, seq: int, count: int) -> LogRange:
        events = [event_pb2.Event(name=f"{project}{index}") for index in range(count)]
        return LogRange.whole(project, Position("0-0", seq, 0), [Mark("1-0", seq + count, 9)], events)

    result = Result((Reject((1, 2, 4), "bad", "no"), Reject((2,), "worse", "never")))
    first, second = of_result("hook", [part("a", 10, 4), part("b", 0, 2)], result, Attempts(3, 1, 2))
    assert (first.delivered, first.dead, first.dead_ranges) == (2, 2, [(11, 13)])
    assert (second.delivered, second.dead, second.dead_ranges) == (1, 1, [(0, 1)])
    fields = first.letters[1].fields
    letter = dict(zip(fields[::2], fields[1::2], strict=True))
    assert letter == {
        "sink": "hook",
        "lo": 12,
        "hi": 13,
        "code": "bad",
        "message": "no",
        "attempts": 3,
        "first_ms": 1,
        "ms": 2,
    }
    assert event_pb2.Event.FromString(first.letters[1].event).name == "a2"


def test_a_sink_rejects_too_much_from_half_of_the_last_hundred_events_on():
    def result(*places: int) -> Result:
        return Result((Reject(places, "bad", "no"),)) if places else Result()

    watch = RejectionGuard()
    assert watch.too_many(99, result(*range(99))) is None
    said = watch.too_many(100, result(*range(50)))
    assert said == "it rejects too much, 50 of the last 100 events: the last with bad: no"
    assert watch.too_many(100, result(*range(49))) is None
    watch.add(60, result(*range(55)))
    assert watch.too_many(40, result()) is None
    assert watch.too_many(40, result(0)) is not None
    watch.add(500, result())
    assert watch.too_many(1, result(0)) is None
    for _ in range(49):
        watch.add(1, result(0))
    assert watch.too_many(1, result(0)) is None
    for _ in range(51):
        watch.add(1, result(0))
    assert watch.too_many(1, result(0)) is not None


def test_wrong_configurations_are_refused_at_once():
    with pytest.raises(ValueError, match="rename 'Hook!'"):
        SinkSpec(name="Hook!", use="webhook")
    twice = (SinkSpec(name="a", use="jsonl"), SinkSpec(name="a", use="jsonl"))
    with pytest.raises(ValueError, match="more than once: a"):
        Config(redis_url="unix:///x", data_dir=Path("/x"), sinks=twice)


def test_no_secret_of_a_configuration_shows():
    sink = SinkSpec(name="hook", use="webhook", settings={"secret": "s3cret"})
    config = Config(redis_url="redis://:s3cret@x", data_dir=Path("/x"), sinks=(sink,), environment={"HOOK": "s3cret"})
    assert "s3cret" not in repr(config)
