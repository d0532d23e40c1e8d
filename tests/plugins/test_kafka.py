"""The kafka sink against the brokers that librdkafka brings for tests: its protocol over TCP, in memory."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf.timestamp_pb2 import Timestamp
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Reject, Result, Retry
from headgate_sinks.kafka import KafkaConfig, KafkaSink, batch_outcome
from pydantic import ValidationError


class Cluster:
    def __init__(self) -> None:
        self.owner = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 2, "log_level": 0})
        brokers = self.owner.list_topics(timeout=10).brokers.values()
        self.brokers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def make(self, topic: str) -> None:
        # These brokers make a topic as soon as they are asked for it.
        self.owner.list_topics(topic, timeout=10)

    def messages(self, topic="events"):
        consumer = Consumer(
            {"bootstrap.servers": self.brokers, "group.id": "test", "log_level": 0, "fetch.wait.max.ms": 10}
        )
        try:
            found = []
            for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
                place = TopicPartition(topic, partition, 0)
                _, end = consumer.get_watermark_offsets(place, timeout=10)
                consumer.assign([place])
                of_partition = []
                while len(of_partition) < end:
                    message = consumer.poll(10)
                    assert message is not None
                    assert message.error() is None
                    of_partition.append(message)
                found += of_partition
            return found
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def _cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.owner.close()


_topics = iter(range(1000))


@pytest.fixture
def cluster(_cluster):
    _cluster.topic = f"events-{next(_topics)}"
    _cluster.make(_cluster.topic)
    return _cluster


def event(number: int = 0, **fields) -> event_pb2.Event:
    own = {"event_id": f"id-{number}", "name": "ä", "project_id": "p", "distinct_id": "u1"}
    return event_pb2.Event(**{**own, "occur_time": Timestamp(seconds=1795262400 + number), **fields})


def batch(*events, number=1) -> Batch:
    return Batch(f"e-kafka-s07-{number:06d}", "e", 7, number, 1795262400123, events)


def sink(brokers, topic="events", environment=None, **config) -> KafkaSink:
    config = {"brokers": brokers, "topic": topic, **config}
    return KafkaSink(KafkaConfig(**config), Place("kafka", Path(), lambda: 0.0, environment or {}))


def write(cluster, *batches, topic=None, **config):
    made = sink(cluster.brokers, topic or cluster.topic, **config)
    made.open()
    try:
        return [made.write(one) for one in batches]
    finally:
        made.close()


def test_an_event_is_a_message(cluster):
    properties = b'{"n":9223372036854775807}'
    assert write(cluster, batch(event(properties_json=properties))) == [Result()]
    (message,) = cluster.messages(cluster.topic)
    assert message.key() == b"u1"
    assert message.timestamp()[1] == 1795262400000
    assert dict(message.headers()) == {"event_id": b"id-0", "project_id": b"p", "batch_id": b"e-kafka-s07-000001"}
    said = json.loads(message.value())
    assert (said["name"], said["properties"]) == ("ä", {"n": 9223372036854775807})


def test_the_documented_example(cluster, documented):
    config = documented("kafka")
    made = sink(environment={"KAFKA_PASSWORD": "s3cret"}, **config)
    made.open()
    made.close()
    # These brokers know neither users nor TLS, and have other names.
    rest = {name: value for name, value in config.items() if name not in ("brokers", "tls", "username", "password")}
    cluster.make(rest["topic"])
    assert write(cluster, batch(event()), **rest) == [Result()]
    assert len(cluster.messages(rest["topic"])) == 1


def test_what_has_one_key_stays_in_order(cluster):
    people = [event(number, distinct_id=f"u{number % 7}") for number in range(200)]
    assert write(cluster, batch(*people)) == [Result()]
    messages = cluster.messages(cluster.topic)
    assert len(messages) == 200
    assert len({message.partition() for message in messages}) > 1
    for person in range(7):
        of_person = [message for message in messages if message.key() == f"u{person}".encode()]
        assert len({message.partition() for message in of_person}) == 1
        ids = [int(dict(message.headers())["event_id"].removeprefix(b"id-")) for message in of_person]
        assert ids == sorted(ids)


def test_the_project_may_be_the_key(cluster):
    write(cluster, batch(event(1, distinct_id="a"), event(2, distinct_id="b")), key="project")
    assert {message.key() for message in cluster.messages(cluster.topic)} == {b"p"}


def test_an_event_of_nobody_has_no_key(cluster):
    write(cluster, batch(event(distinct_id="")))
    assert [message.key() for message in cluster.messages(cluster.topic)] == [None]


def test_a_batch_that_comes_again_is_there_twice_and_says_by_which_id(cluster):
    """What the sink's spec owns up to, and its page tells consumers to expect."""
    assert KafkaSink.spec.repeats.value == "none"
    assert write(cluster, batch(event(1))) + write(cluster, batch(event(1))) == [Result()] * 2
    messages = cluster.messages(cluster.topic)
    assert len(messages) == 2
    assert len({(dict(one.headers())["project_id"], dict(one.headers())["event_id"]) for one in messages}) == 1


def test_only_a_message_that_is_too_large_is_a_dead_letter(cluster):
    large = event(2, properties_json=b'{"x":"' + b"x" * 1_100_000 + b'"}')
    (answer,) = write(cluster, batch(event(1), large, event(3)))
    assert [(reject.events, reject.code) for reject in answer.rejected] == [((1,), "too_large")]
    assert len(cluster.messages(cluster.topic)) == 2


def test_a_producer_whose_queue_is_small_waits_for_room(cluster):
    events = [event(number) for number in range(100)]
    assert write(cluster, batch(*events), options={"queue.buffering.max.messages": "10"}) == [Result()]
    assert len(cluster.messages(cluster.topic)) == 100


def test_no_broker_is_retried(cluster):
    made = sink("127.0.0.1:9", timeout=0.5)
    made.open()
    answer = made.write(batch(event(1), event(2)))
    assert isinstance(answer, Retry)
    assert (answer.events, answer.message) == (None, "no broker can be reached")
    made.close()
    with pytest.raises(Retry):
        sink("127.0.0.1:9", timeout=0.5).check()


def test_brokers_that_go_away_are_waited_for(cluster):
    other = Cluster()
    made = sink(other.brokers, timeout=5)
    made.open()
    assert made.write(batch(event(1))) == Result()
    other.owner.close()
    assert isinstance(made.write(batch(event(2), number=2)), Retry)
    made.close()


def test_checking_makes_no_topic(cluster):
    sink(cluster.brokers, cluster.topic).check()
    for _ in range(2):
        with pytest.raises(Misconfigured, match="topic"):
            sink(cluster.brokers, "not-there").check()


def test_closing_twice(cluster):
    made = sink(cluster.brokers, cluster.topic)
    made.open()
    made.close()
    made.close()
    # As the forwarder does after an `open` that failed.
    made.open()
    assert made.write(batch(event())) == Result()
    made.close()


def test_without_its_client_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(Misconfigured, match=r"headgate\[kafka\]"):
        sink("x:1").open()


@pytest.mark.parametrize(
    ("errors", "trouble", "expected", "places"),
    [
        ({}, "", Result, None),
        ({0: "_MSG_TIMED_OUT", 1: "_MSG_TIMED_OUT", 2: "_MSG_TIMED_OUT"}, "_ALL_BROKERS_DOWN", Retry, None),
        ({0: "_MSG_TIMED_OUT", 1: "_MSG_TIMED_OUT", 2: "_MSG_TIMED_OUT"}, "_AUTHENTICATION", Misconfigured, None),
        ({0: "_TRANSPORT", 1: "_TRANSPORT", 2: "_TRANSPORT"}, "_AUTHENTICATION", Misconfigured, None),
        ({0: "_LEFT", 1: "TOPIC_AUTHORIZATION_FAILED", 2: "_LEFT"}, "", Misconfigured, None),
        ({0: "_LEFT", 1: "_LEFT"}, "", Retry, (0, 1)),
        ({0: "_FATAL", 1: "_FATAL", 2: "_FATAL"}, "", Retry, None),
        ({1: "_MSG_TIMED_OUT"}, "", Retry, (1,)),
        ({1: "TOPIC_AUTHORIZATION_FAILED"}, "", Retry, (1,)),
        ({0: "MSG_SIZE_TOO_LARGE", 1: "_MSG_TIMED_OUT"}, "", Retry, (0, 1)),
        ({0: "MSG_SIZE_TOO_LARGE", 1: "UNKNOWN_TOPIC_OR_PART", 2: "UNKNOWN_TOPIC_OR_PART"}, "", Misconfigured, None),
    ],
)
def test_what_became_of_a_batch_of_three(errors, trouble, expected, places):
    answer = batch_outcome(errors, 3, trouble)
    assert isinstance(answer, expected)
    assert getattr(answer, "events", None) == places


def test_rejects_are_gathered_by_their_reason():
    answer = batch_outcome({2: "MSG_SIZE_TOO_LARGE", 0: "INVALID_RECORD", 1: "MSG_SIZE_TOO_LARGE"}, 4)
    assert [(reject.events, reject.code) for reject in answer.rejected] == [
        ((0,), "kafka_invalid_record"),
        ((1, 2), "too_large"),
    ]
    assert isinstance(answer.rejected[0], Reject)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"options": {"nonsense": "s3cret"}}, "nonsense"),
        ({"options": {"client.dns.lookup": "s3cret"}}, "client.dns.lookup"),
        ({"username": "u", "password": "env:NO_SUCH"}, "NO_SUCH"),
    ],
)
def test_settings_that_only_a_person_can_mend(config, named):
    with pytest.raises(Misconfigured, match=named) as raised:
        sink("127.0.0.1:9", **config).open()
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        {"topic": ""}, {"username": "u"}, {"password": "s3cret"}, {"options": {"acks": "s3cret"}},
        {"options": {"sasl.password": "s3cret"}}, {"mechanism": "s3cret"}, {"key": "s3cret"},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_without_showing_them(config):
    with pytest.raises(ValidationError) as raised:
        KafkaConfig(**{"brokers": "x:1", "topic": "t", **config})
    assert "s3cret" not in str(raised.value)


def test_no_secret_shows():
    config = KafkaConfig(
        brokers="x:1", topic="t", username="u", password="s3cret", options={"ssl.key.password": "s3cret"}
    )
    assert "s3cret" not in repr(config)
