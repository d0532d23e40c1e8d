"""The `kafka` sink: one message per event, to a topic of Kafka or of what speaks its protocol.

The producer is idempotent: what it sends again by itself is there once, in order. A batch that the forwarder gives it
again, after a crash or a lost answer, it cannot know: its events are there twice, and bear the ids to drop them by.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from headgate.v1 import event_pb2
from pydantic import Field, SecretStr, field_validator, model_validator

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_line
from headgate_sinks.sdk.sink import (
    Batch,
    Config,
    Misconfigured,
    Outcome,
    Reject,
    Repeats,
    Result,
    Retry,
    Spec,
    SyncSink,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

_log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.1
# After the client should have given every message up.
_GRACE_SECONDS = 5.0
# By the names of the client's error codes.
_REJECTED = {
    "MSG_SIZE_TOO_LARGE": ("too_large", "the message is larger than the topic or `message.max.bytes` takes"),
    "INVALID_MSG_SIZE": ("too_large", "the message is larger than the topic takes"),
    "RECORD_LIST_TOO_LARGE": ("too_large", "the message is larger than the topic takes"),
    "INVALID_RECORD": ("kafka_invalid_record", "the topic's own rules refuse the message"),
}  # fmt: skip
_TOO_LARGE = frozenset(name for name, (code, _) in _REJECTED.items() if code == "too_large")
_TOPIC = "`topic` is not there, or may not be written to: make it, or correct `topic`"
_CREDENTIALS = "the brokers refuse the credentials, or their certificate is not trusted: correct those settings"
_MISCONFIGURED = {
    "UNKNOWN_TOPIC_OR_PART": _TOPIC,
    "_UNKNOWN_TOPIC": _TOPIC,
    "_UNKNOWN_PARTITION": _TOPIC,
    "TOPIC_EXCEPTION": _TOPIC,
    "POLICY_VIOLATION": _TOPIC,
    "TOPIC_AUTHORIZATION_FAILED": "the user may not write to `topic`: give it that right",
    "CLUSTER_AUTHORIZATION_FAILED": "the user may not use an idempotent producer: give it IdempotentWrite",
    "SASL_AUTHENTICATION_FAILED": _CREDENTIALS,
    "UNSUPPORTED_SASL_MECHANISM": _CREDENTIALS,
    "_AUTHENTICATION": _CREDENTIALS,
    "_SSL": _CREDENTIALS,
}
_UNREACHED = frozenset({"_ALL_BROKERS_DOWN", "_RESOLVE", "_TRANSPORT"})
# Not a name of the client's: it has not said what became of the event.
_LEFT = "_LEFT"
_OWN_OPTIONS = frozenset(
    {
        "acks", "bootstrap.servers", "compression.codec", "compression.type", "delivery.timeout.ms",
        "enable.idempotence", "message.timeout.ms", "metadata.broker.list", "request.required.acks",
        "sasl.mechanism", "sasl.mechanisms", "sasl.password", "sasl.username", "security.protocol",
    }
)  # fmt: skip


class KafkaConfig(Config):
    """`[sinks.config]` of a Kafka topic."""

    brokers: str = Field(min_length=1, description="Brokers to begin with: `host:port`, several with commas between.")
    topic: str = Field(min_length=1, max_length=249, description="The topic to write to. It must be there.")
    key: Literal["distinct_id", "project"] = Field(
        "distinct_id", description="What keeps events in order, in one partition: the same person, or the same project."
    )
    tls: bool = Field(False, description="Whether the brokers are spoken to over TLS.")
    username: str | None = Field(None, description="The user, where the brokers want one (SASL).")
    password: SecretStr | None = Field(
        None, description="The user's password: `env:NAME`, `file:PATH` or the password itself."
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the user is shown."
    )
    compression: Literal["none", "gzip", "lz4", "zstd"] = Field("lz4", description="How messages are compressed.")
    options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further settings of librdkafka, such as `ssl.ca.location`, each as `env:NAME`, `file:PATH` or the"
        " value itself.",
    )
    timeout: float = Field(
        30.0, gt=0, le=300, description="Seconds that the brokers have to take a batch, with all that is sent again."
    )

    @field_validator("options")
    @classmethod
    def _options(cls, options: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in options:
            if name in _OWN_OPTIONS:
                raise ValueError(f"{name} is set by the sink itself")
        return options

    @model_validator(mode="after")
    def _whole_credentials(self) -> "KafkaConfig":
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        return self


class KafkaSink(SyncSink[KafkaConfig]):
    """Hands each batch to a producer, and waits until the brokers have it."""

    use = "kafka"
    Config = KafkaConfig
    spec = Spec(concurrency=1, repeats=Repeats.NONE, write_seconds=310.0)

    _producer: "Producer | None" = None
    # The name of the error behind the connections' failing, by the client's own account.
    _trouble: str = ""

    def open(self) -> None:
        self._producer = self._made_producer()

    def check(self) -> None:
        producer = self._made_producer()
        try:
            # Without a topic's name: asking for one may make it.
            topics = producer.list_topics(timeout=min(self.config.timeout, 10.0)).topics
        except _kafka().KafkaException as error:
            producer.poll(0)
            raise told(self._trouble or error.args[0].name()) from None
        finally:
            producer.close()
        if self.config.topic not in topics:
            raise Misconfigured(_TOPIC)

    def write(self, batch: Batch) -> Outcome:
        # One that is of no use any more was let go.
        producer = self._producer = self._producer or self._made_producer()
        self._trouble = ""
        errors = self._sent(producer, batch, range(len(batch.events)))
        large = [place for place, name in sorted(errors.items()) if name in _TOO_LARGE]
        if large and len(batch.events) > 1:
            errors = {place: name for place, name in errors.items() if place not in large}
            errors |= self._by_halves(producer, batch, large)
        if any(name in (_LEFT, "_FATAL") for name in errors.values()):
            # Messages that it still has would go out after they were reported as not written; and without them its
            # order has a gap.
            self._producer = None
            producer.purge()
            producer.close()
        return batch_outcome(errors, len(batch.events), self._trouble)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _by_halves(self, producer: "Producer", batch: Batch, places: Sequence[int]) -> dict[int, str]:
        """As `_sent`. To a topic that says how large a message may be, what the client sends together is one."""
        errors: dict[int, str] = {}
        waiting = _halves(places)
        while waiting:
            part = waiting.pop(0)
            found = self._sent(producer, batch, part)
            large = [place for place, name in sorted(found.items()) if name in _TOO_LARGE]
            if large and len(part) > 1:
                found = {place: name for place, name in found.items() if place not in large}
                waiting = [*_halves(large), *waiting]
            errors |= found
            if _LEFT in found.values():
                return errors | dict.fromkeys((place for rest in waiting for place in rest), _LEFT)
        return errors

    def _sent(self, producer: "Producer", batch: Batch, places: Sequence[int]) -> dict[int, str]:
        """The errors of the events that are not written for certain, by their places."""
        errors: dict[int, str] = dict.fromkeys(places, _LEFT)
        waiting = 0

        def report(place: int) -> Callable[[Any, Any], None]:
            def reported(error: "KafkaError | None", _: Any) -> None:
                nonlocal waiting
                waiting -= 1
                if error is None:
                    del errors[place]
                else:
                    errors[place] = _name(error)

            return reported

        ends = time.monotonic() + self.config.timeout + _GRACE_SECONDS
        for place in places:
            event = batch.events[place]
            try:
                room = self._produced(producer, batch, event, report(place))
                while not room and time.monotonic() < ends:
                    producer.poll(_WAIT_SECONDS)
                    room = self._produced(producer, batch, event, report(place))
                waiting += room
            except _kafka().KafkaException as error:
                errors[place] = _name(error.args[0])
        while waiting and time.monotonic() < ends and self._trouble not in _MISCONFIGURED:
            producer.poll(_WAIT_SECONDS)
        # A copy: letting go of the producer reports what is left.
        return dict(errors)

    def _produced(
        self, producer: "Producer", batch: Batch, event: event_pb2.Event, on_delivery: Callable[[Any, Any], None]
    ) -> bool:
        """Whether the producer had room for it."""
        key = event.project_id if self.config.key == "project" else event.distinct_id
        try:
            producer.produce(
                self.config.topic,
                value=event_line(event),
                key=key or None,
                headers=[("event_id", event.event_id), ("project_id", event.project_id), ("batch_id", batch.id)],
                timestamp=event.occur_time.ToMilliseconds() or batch.seal_time_ms,
                on_delivery=on_delivery,
            )
        except BufferError:
            return False
        return True

    def _made_producer(self) -> "Producer":
        kafka = _kafka()
        settings: dict[str, Any] = {name: self.place.secret(value) for name, value in self.config.options.items()}
        settings |= {
            "bootstrap.servers": self.config.brokers,
            "enable.idempotence": True,
            "delivery.timeout.ms": int(self.config.timeout * 1000),
            "compression.type": self.config.compression,
            "security.protocol": ("SASL_" if self.config.username else "")
            + ("SSL" if self.config.tls else "PLAINTEXT"),
            "error_cb": self._note_trouble,
        }
        # What a topic is waited for that is not there: else its messages run out of time before that is said.
        settings.setdefault("topic.metadata.propagation.max.ms", int(self.config.timeout * 500))
        # As Java's clients do, so that a key is in the same partition whoever writes it.
        settings.setdefault("partitioner", "murmur2_random")
        settings.setdefault("client.id", "headgate")
        # Failures become outcomes; it would log each attempt besides.
        settings.setdefault("log_level", 2)
        if self.config.username is not None and self.config.password is not None:
            settings["sasl.mechanism"] = self.config.mechanism
            settings["sasl.username"] = self.config.username
            settings["sasl.password"] = self.place.secret(self.config.password)
        try:
            producer: Producer = kafka.Producer(settings, logger=_log)
        except kafka.KafkaException as error:
            # Its words may hold a value.
            name = re.search(r'property:? "([\w.]+)"', str(error))
            setting = f"its setting {name[1]}" if name else "one of its settings"
            raise Misconfigured(f"the client of Kafka refuses {setting}: correct `options`") from None
        return producer

    def _note_trouble(self, error: "KafkaError") -> None:
        # What all brokers being down says less of than the error before it.
        if not self._trouble or error.name() in _MISCONFIGURED:
            self._trouble = error.name()


def batch_outcome(errors: Mapping[int, str], events: int, trouble: str = "") -> Outcome:
    """What became of a batch of so many events. `errors`: the names of the errors of those that are not written for
    certain, by place; `trouble`: what went wrong with the connections, which explains that events ran out of time."""
    lost = {place: name for place, name in errors.items() if name not in _REJECTED}
    if not lost:
        return Result(_rejects(errors))
    names = (*lost.values(), trouble)
    # What a person must act on says most, and that something took too long least.
    known = [name for known in (_MISCONFIGURED, _UNREACHED, names) for name in names if name in known]
    said = told(known[0])
    if len(errors) < events:
        # The others would be there twice if all came again.
        return Retry(said.message, events=errors)
    return said


def _rejects(errors: Mapping[int, str]) -> tuple[Reject, ...]:
    places: dict[str, list[int]] = {}
    for place, name in sorted(errors.items()):
        places.setdefault(name, []).append(place)
    return tuple(Reject(tuple(found), *_REJECTED[name]) for name, found in places.items())


def _halves(places: Sequence[int]) -> list[Sequence[int]]:
    middle = len(places) // 2
    return [part for part in (places[:middle], places[middle:]) if part]


def told(error: str) -> Retry | Misconfigured:
    """What an error of the client says of a batch, by its name."""
    if error in _MISCONFIGURED:
        return Misconfigured(_MISCONFIGURED[error])
    if error in _UNREACHED:
        return Retry("no broker can be reached")
    if error in (_LEFT, "_MSG_TIMED_OUT", "_TIMED_OUT"):
        return Retry("the brokers did not answer in time")
    return Retry(f"the brokers answered with an error: {error.lstrip('_').lower()}")


def _name(error: "KafkaError") -> str:
    return "_FATAL" if error.fatal() else error.name()


def _kafka() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise Misconfigured("the client of Kafka is not installed: pip install 'headgate[kafka]'") from error
    return confluent_kafka


@hookimpl
def headgate_register_sinks() -> list[type[KafkaSink]]:
    return [KafkaSink]
