"""The kafka sink against a broker of Apache Kafka: one node, which is its own controller, run from Kafka's own jars."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives import serialization
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result
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
from headgate_sinks.kafka import KafkaConfig, KafkaSink

POM = Path(__file__).parent / "kafka/pom.xml"
# As small and as quick to start as a JVM can be.
JAVA = (
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx256m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
PARTITIONS = 3
USER, PASSWORD = "headgate", "s3cret-of-the-user"
START_SECONDS, FETCH_SECONDS = 60.0, 120.0


def jars(folder: Path) -> str:
    """The class path of a broker. Skips where it cannot be had."""
    for command in ("java", "mvn"):
        if shutil.which(command) is None:
            pytest.skip(f"a broker of Kafka needs {command}, which is not installed")
    found, said = folder / "class-path", ""
    # Without the network first: where Maven has the jars, it needs no answer from there.
    for network in (["-o"], []):
        build = [
            "mvn",
            "-q",
            "-B",
            *network,
            "-f",
            str(POM),
            "dependency:build-classpath",
            f"-Dmdep.outputFile={found}",
        ]
        try:
            run = subprocess.run(build, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            said = f"no answer in {FETCH_SECONDS:.0f} s"
            continue
        if run.returncode == 0:
            return found.read_text()
        said = (run.stdout + run.stderr).strip()[-300:]
    pytest.skip(f"Maven could not fetch Kafka's jars: {said}")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


class Broker(Target):
    """Users come in over TLS with a name and a password (SCRAM), the tests over a listener of their own, as its
    owner."""

    def __init__(self, folder: Path, class_path: str) -> None:
        self.folder = folder
        self._java = (*JAVA, "-cp", class_path)
        self._owners, self._users, controller = free_ports(3)
        self.brokers = f"127.0.0.1:{self._users}"
        self.authority = folder / "authority.pem"
        self._configure(controller)
        subprocess.run(
            [
                *(*self._java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk"),
                *("-c", str(folder / "server.properties")),
                *("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
            ],
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.topic = ""
        self.start()

    def start(self) -> None:
        """Until it answers."""
        if self._process is not None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self.folder / "server.properties")], stdout=log, stderr=log
            )
        self.admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self._owners}", "log_level": 0})
        ends = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            with contextlib.suppress(KafkaException):
                self.admin.list_topics(timeout=0.3)
                return
            assert time.monotonic() < ends, "the broker does not answer"

    def kill(self) -> None:
        """As by a cut of power, but for what the kernel had not written to the disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def make(self, topic: str) -> None:
        """Until each of its partitions can be written to."""
        self.topic = topic
        for done in self.admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
            done.result(START_SECONDS)
        self._await_leaders()

    def _await_leaders(self) -> None:
        with contextlib.closing(self._reader()) as reader:
            self._ends(reader)

    def _ends(self, reader: Consumer) -> list[int]:
        """How many messages each partition has; waits for one whose leader has just begun to be it."""
        found: list[int] = []
        ends = time.monotonic() + START_SECONDS
        while len(found) < PARTITIONS:
            try:
                found.append(reader.get_watermark_offsets(TopicPartition(self.topic, len(found)), timeout=1)[1])
            except KafkaException:
                assert time.monotonic() < ends, "the topic has no leader"
                time.sleep(0.02)
        return found

    def _reader(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": f"127.0.0.1:{self._owners}",
                "group.id": "test",
                "enable.auto.commit": False,
                "log_level": 0,
                "fetch.wait.max.ms": 10,
            }
        )

    def sizes(self, topic: str, most: int) -> None:
        """How many bytes a message, or what the client sends together, may have."""
        entry = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
        changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for done in self.admin.incremental_alter_configs([changed]).values():
            done.result(START_SECONDS)

    def forbid(self) -> None:
        rule = AclBinding(
            *(ResourceType.TOPIC, self.topic, ResourcePatternType.LITERAL, f"User:{USER}", "*"),
            *(AclOperation.WRITE, AclPermissionType.DENY),
        )
        for done in self.admin.create_acls([rule]).values():
            done.result(START_SECONDS)
        until(lambda: not self._user_may_write())

    def allow(self) -> None:
        every = AclBindingFilter(
            *(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
        )
        for done in self.admin.delete_acls([every]).values():
            done.result(START_SECONDS)
        until(self._user_may_write)

    def _user_may_write(self) -> bool:
        user = AdminClient(
            {
                "bootstrap.servers": self.brokers,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": USER,
                "sasl.password": PASSWORD,
                "ssl.ca.location": str(self.authority),
                "log_level": 0,
            }
        )
        asked = user.describe_topics(TopicCollection([self.topic]), include_authorized_operations=True)
        try:
            return AclOperation.WRITE in asked[self.topic].result(START_SECONDS).authorized_operations
        except KafkaException:
            return False

    def messages(self) -> list[Any]:
        """All that are in the topic, by partition, in order."""
        with contextlib.closing(self._reader()) as reader:
            count = sum(self._ends(reader))
            reader.assign([TopicPartition(self.topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
            found: list[Any] = []
            while len(found) < count:
                message = reader.poll(START_SECONDS)
                assert message is not None
                assert message.error() is None
                found.append(message)
            return sorted(found, key=lambda message: (message.partition(), message.offset()))

    async def received(self):
        return await asyncio.to_thread(lambda: [json.loads(message.value()) for message in self.messages()])

    async def arm(self, fault):
        match fault:
            case None:
                await asyncio.to_thread(self.mend)
            case Unavailable():
                await asyncio.to_thread(self.kill)
            case NotAllowed():
                await asyncio.to_thread(self.mend)
                await asyncio.to_thread(self.forbid)
            case Refuses():
                await asyncio.to_thread(self.mend)
                await asyncio.to_thread(self.sizes, self.topic, 1)
            case _:
                await super().arm(fault)

    def mend(self) -> None:
        self.start()
        self._await_leaders()
        self.allow()
        self.sizes(self.topic, 1024 * 1024)

    def config(self, **own: Any) -> dict[str, Any]:
        trusted = {"ssl.ca.location": str(self.authority)}
        return {
            "brokers": self.brokers,
            "topic": self.topic,
            "tls": True,
            "username": USER,
            "password": PASSWORD,
            "options": trusted,
            **own,
        }

    def _configure(self, controller: int) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        issued = authority.issue_cert("127.0.0.1")
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        identity = self.folder / "identity.pem"
        identity.write_bytes(key + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        tls, scram = "listener.name.users.ssl", "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"OWNERS://127.0.0.1:{self._owners},USERS://127.0.0.1:{self._users},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "OWNERS",
            "listener.security.protocol.map": "OWNERS:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_SSL",
            f"{tls}.keystore.type": "PEM",
            f"{tls}.keystore.location": str(identity),
            "listener.name.users.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.users.scram-sha-512.sasl.jaas.config": scram,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "true",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            # One that was killed is let in again when its last session is over.
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "200",
            # One node is all there is.
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    started = Broker(folder, jars(folder))
    yield started
    started.kill()


_topics = iter(range(1000))


@pytest.fixture
def topic(broker) -> str:
    broker.start()
    broker.make(f"events-{next(_topics)}")
    return broker.topic


def batch(count: int, number: int = 1, size: int = 0) -> Batch:
    padding = b'{"x":"%s"}' % (b"x" * size)
    events = [
        event_pb2.Event(
            event_id=f"id-{number}-{one}", name="a", project_id="p", distinct_id=f"u{one % 7}", properties_json=padding
        )
        for one in range(count)
    ]
    # Of now: a broker that starts forgets the producers of messages that are a day old, and what they have sent.
    return Batch(f"e-kafka-s07-{number:06d}", "e", 7, number, int(time.time() * 1000), events)


def sink(broker: Broker, **own: Any) -> KafkaSink:
    return KafkaSink(KafkaConfig(**broker.config(**own)), Place("kafka", Path(), time.time, {}))


def ids(broker: Broker) -> list[str]:
    return [dict(message.headers())["event_id"].decode() for message in broker.messages()]


def written(*batches: Batch) -> list[str]:
    return [event.event_id for one in batches for event in one.events]


class TestKafkaBroker(SinkConformance):
    sink = KafkaSink
    cannot: ClassVar = {
        **dict.fromkeys((AnswerLost, Silent), "a broker that stands still is one that is away"),
        **dict.fromkeys((Poison, TakesSome), "a broker minds a message's size only, and the kit's are of one size"),
        RateLimited: "a broker over its quota answers late, and the client waits",
        TakesOnly: "the client sends as much at a time as the topic takes",
    }
    _broker: ClassVar[Broker]

    @pytest.fixture(autouse=True)
    def _run_broker(self, broker):
        type(self)._broker = broker

    @contextlib.asynccontextmanager
    async def target(self, folder):
        await asyncio.to_thread(self._broker.start)
        await asyncio.to_thread(self._broker.make, f"conformance-{next(_topics)}")
        yield self._broker
        await asyncio.to_thread(self._broker.mend)

    def config(self, target):
        return target.config(timeout=2)


def test_a_broker_killed_in_the_middle_of_writes_loses_nothing_and_doubles_nothing(broker, topic):
    """The producer is the same over the restart, and says to the broker which of its messages it sends again."""
    made = sink(broker, timeout=60, options={**broker.config()["options"], "linger.ms": "0"})
    made.open()
    answers: list[Any] = []
    batches = [batch(200, number, size=500) for number in range(1, 41)]

    def write() -> None:
        answers.extend(made.write(one) for one in batches)

    writing = threading.Thread(target=write)
    writing.start()
    until(lambda: len(answers) >= 5)
    broker.kill()
    broker.start()
    writing.join()
    made.close()
    assert answers == [Result()] * len(batches)
    found = ids(broker)
    assert len(found) == len(set(found))
    assert sorted(found) == sorted(written(*batches))
    of_person = [message for message in broker.messages() if message.key() == b"u3"]
    places = [tuple(map(int, dict(one.headers())["event_id"].decode().split("-")[1:])) for one in of_person]
    assert places == sorted(places)


def test_a_batch_that_a_new_life_sends_again_is_there_twice_and_says_by_which_id(broker, topic):
    """What the sink's spec owns up to, and its page tells consumers to expect."""
    for _ in range(2):
        made = sink(broker)
        made.open()
        assert made.write(batch(3)) == Result()
        made.close()
    assert sorted(ids(broker)) == sorted(written(batch(3)) * 2)
    assert len({(dict(one.headers())["project_id"], dict(one.headers())["event_id"]) for one in broker.messages()}) == 3


def test_small_events_are_not_too_large_because_they_are_sent_together(broker, topic):
    broker.sizes(topic, 20_000)
    made = sink(broker, compression="none", options={**broker.config()["options"], "linger.ms": "20"})
    made.open()
    assert made.write(batch(200, size=500)) == Result()
    large = event_pb2.Event(event_id="large", project_id="p", properties_json=b'{"x":"%s"}' % (b"x" * 30_000))
    small = batch(20, 2, size=500)
    answer = made.write(Batch("e-kafka-s07-000003", "e", 7, 3, 0, [*small.events, large]))
    assert [(reject.events, reject.code) for reject in answer.rejected] == [((20,), "too_large")]
    made.close()
    assert sorted(ids(broker)) == sorted(written(batch(200), small))


@pytest.mark.parametrize("own", [{"password": "wrong"}, {"options": {}}], ids=["password", "certificate"])
def test_who_is_not_let_in_is_misconfigured(broker, topic, own):
    made = sink(broker, timeout=2, **own)
    made.open()
    started = time.monotonic()
    outcome = made.write(batch(1))
    made.close()
    assert isinstance(outcome, Misconfigured)
    assert time.monotonic() < started + START_SECONDS
    with pytest.raises(Misconfigured):
        sink(broker, timeout=2, **own).check()


def test_a_topic_that_is_not_there(broker, topic):
    made = sink(broker, topic="not-there", timeout=2)
    made.open()
    assert isinstance(made.write(batch(1)), Misconfigured)
    made.close()
    with pytest.raises(Misconfigured, match="topic"):
        sink(broker, topic="not-there").check()
    assert "not-there" not in broker.admin.list_topics(timeout=START_SECONDS).topics


def test_the_documented_example(broker, documented):
    config = documented("kafka")
    broker.start()
    broker.make(config["topic"])
    # But for where the broker is, and whom it trusts.
    own = {"brokers": broker.brokers, "options": {"ssl.ca.location": str(broker.authority)}}
    made = KafkaSink(KafkaConfig(**{**config, **own}), Place("kafka", Path(), time.time, {"KAFKA_PASSWORD": PASSWORD}))
    made.open()
    assert made.write(batch(3)) == Result()
    made.close()
    made.check()
    assert sorted(ids(broker)) == sorted(written(batch(3)))
