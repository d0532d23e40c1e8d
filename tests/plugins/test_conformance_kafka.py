"""The kafka sink in the conformance kit, against the brokers that librdkafka brings for tests."""

import asyncio
import contextlib
import json
from typing import ClassVar

from confluent_kafka import Consumer, Producer, TopicPartition
from headgate_sinks.conformance import (
    AnswerLost,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.kafka import KafkaSink

TOPIC = "events"
IN_MEMORY = "librdkafka's brokers for tests cannot be told to fail from Python"


class Cluster(Target):
    def __init__(self):
        self.owner = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self.owner.list_topics(TOPIC, timeout=10).brokers.values()
        self.brokers = f"{broker.host}:{broker.port}"

    async def arm(self, fault):
        assert fault is None

    async def received(self):
        return await asyncio.to_thread(self.read)

    def read(self):
        settings = {"bootstrap.servers": self.brokers, "group.id": "test", "log_level": 0, "fetch.wait.max.ms": 10}
        consumer = Consumer(settings)
        try:
            found = []
            for partition in consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)
                consumer.assign([TopicPartition(TOPIC, partition, 0)])
                found += [consumer.poll(10) for _ in range(end)]
            return [json.loads(message.value()) for message in found]
        finally:
            consumer.close()


class TestKafka(SinkConformance):
    sink = KafkaSink
    cannot: ClassVar = dict.fromkeys(
        (AnswerLost, NotAllowed, Poison, RateLimited, Refuses, Silent, TakesOnly, TakesSome, Unavailable), IN_MEMORY
    )

    @contextlib.asynccontextmanager
    async def target(self, folder):
        cluster = await asyncio.to_thread(Cluster)
        yield cluster
        await asyncio.to_thread(cluster.owner.close)

    def config(self, target):
        # A secret that these brokers, which know no users, do not mind.
        return {"brokers": target.brokers, "topic": TOPIC, "options": {"client.rack": "s3cret-of-the-user"}}
