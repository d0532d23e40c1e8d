"""The conformance kit itself: it lets a good sink pass, and catches each kind of bad one."""

import asyncio
import contextlib
import json
import threading
import time
from typing import ClassVar

import pytest
from headgate_sinks import (
    Config,
    Misconfigured,
    Reject,
    Repeats,
    Result,
    Retry,
    Sink,
    Spec,
    SyncSink,
    TooLarge,
    event_json,
)
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
from headgate_sinks.conformance.loop_watch import LoopBlocked
from pydantic import Field, SecretStr

STORES = {}


class Store(Target):
    """Holds events in memory, each id once, and answers for each event."""

    def __init__(self, name):
        STORES[name] = self
        self.events, self.fault = [], None

    async def received(self):
        return self.events

    async def arm(self, fault):
        self.fault = fault

    def put(self, event):
        if event.event_id not in [one["eventId"] for one in self.events]:
            self.events.append(event_json(event))


class GoodConfig(Config):
    store: str = Field(description="Which store.")
    password: SecretStr = Field(description="What nobody asks for.")


class GoodSink(Sink[GoodConfig]):
    use = "good"
    Config = GoodConfig
    spec = Spec(repeats=Repeats.EVENT_ID, concurrency=3)

    async def open(self):
        self.place.secret(self.config.password)

    async def write(self, batch):
        store = STORES[self.config.store]
        match store.fault:
            case Unavailable():
                raise ConnectionError("the store is away")
            case RateLimited(after=after):
                return Retry("too many", after=after)
            case NotAllowed():
                raise Misconfigured("no such store: create it")
            case Refuses():
                return Result((Reject(tuple(range(len(batch.events))), "refused", "never"),))
            case TakesOnly(events=most) if len(batch.events) > most:
                raise TooLarge("too many")
            case Silent():
                await asyncio.Event().wait()
        rejected, later = [], []
        for place, event in enumerate(batch.events):
            match store.fault:
                case Poison(event=poison) if poison == event.event_id:
                    rejected.append(place)
                case TakesSome(refused=refused) if event.event_id in refused:
                    rejected.append(place)
                case TakesSome(later=waiting) if event.event_id in waiting:
                    later.append(place)
                case _:
                    store.put(event)
        if later:
            return Retry("some later", events=(*later, *rejected))
        if store.fault == AnswerLost():
            raise ConnectionResetError("hung up")
        return Result((Reject(tuple(rejected), "odd", "odd"),) if rejected else ())


class TestGood(SinkConformance):
    """Nothing is left out."""

    sink = GoodSink

    @contextlib.asynccontextmanager
    async def target(self, folder):
        yield Store(str(folder))

    def config(self, target):
        (name,) = (name for name, store in STORES.items() if store is target)
        return {"store": name, "password": "env:PASSWORD"}

    def environment(self, target):
        return {"PASSWORD": "open-sesame-42"}


class Doubling(GoodSink):
    async def write(self, batch):
        STORES[self.config.store].events += map(event_json, batch.events)
        return Result()


class Sleeping(GoodSink):
    async def write(self, batch):
        time.sleep(0.001)  # noqa: ASYNC251 - what is to be caught
        return await super().write(batch)


class Locked(GoodSink):
    async def write(self, batch):
        threading.Event().wait(60)
        return await super().write(batch)


class SwallowingCancellation(GoodSink):
    async def write(self, batch):
        try:
            for _ in range(1000):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            return Retry("never mind")
        return await super().write(batch)


class Talkative(GoodSink):
    async def write(self, batch):
        print(f"writing with {self.place.secret(self.config.password)}")  # noqa: T201 - what is to be caught
        return await super().write(batch)


class TalkativeInAnOutcome(GoodSink):
    async def write(self, batch):
        return Retry(f"refused with {self.place.secret(self.config.password)}")


class ClosingOnce(GoodSink):
    closed = False

    async def close(self):
        assert not self.closed
        self.closed = True


class RoundingIntegers(GoodSink):
    async def write(self, batch):
        def rounded(event):
            return json.loads(json.dumps(event_json(event)), parse_int=lambda text: int(float(text)))

        STORES[self.config.store].events += map(rounded, batch.events)
        return Result()


class Optimistic(GoodSink):
    """Says that it wrote what it did not."""

    async def write(self, batch):
        try:
            outcome = await super().write(batch)
        except OSError:
            return Result()
        return Result() if isinstance(outcome, Retry) else outcome


class SayingNothing(GoodSink):
    async def write(self, batch):
        await super().write(batch)


class Impatient(GoodSink):
    async def write(self, batch):
        outcome = await super().write(batch)
        return Retry(outcome.message) if isinstance(outcome, Retry) else outcome


class OneAtATime(GoodSink):
    """Declares more writes at once than it can do."""

    busy = False

    async def write(self, batch):
        if self.busy:
            return Result()
        self.busy = True
        await asyncio.sleep(0.01)
        self.busy = False
        return await super().write(batch)


class CheckingByWriting(GoodSink):
    async def check(self):
        STORES[self.config.store].events.append({"eventId": "probe"})


@pytest.mark.parametrize(
    ("bad", "case", "arguments"),
    [
        (Doubling, "test_a_repeat_after_a_death_before_the_return_was_recorded", ()),
        (Doubling, "test_the_same_events_in_another_batch", ()),
        (Sleeping, "test_the_event_loop_is_free_while_it_writes", ()),
        (Sleeping, "test_success", ()),
        (Locked, "test_success", ()),
        (SwallowingCancellation, "test_cancellation", (20,)),
        (ClosingOnce, "test_close_is_idempotent", (True,)),
        (RoundingIntegers, "test_content", ({"n": 2**63 - 1},)),
        (Optimistic, "test_transient", ()),
        (Optimistic, "test_mixed_outcomes", ()),
        (Optimistic, "test_a_lost_answer", ()),
        (SayingNothing, "test_success", ()),
        (Impatient, "test_rate_limit", (7.0,)),
        (OneAtATime, "test_as_many_writes_at_once_as_it_declares", ()),
        (CheckingByWriting, "test_a_check_writes_nothing", ()),
    ],
)
def test_a_bad_sink_is_caught(tmp_path, bad, case, arguments):
    class Bad(TestGood):
        sink = bad

    with pytest.raises((AssertionError, LoopBlocked)):
        getattr(Bad(), case)(tmp_path, *arguments)


@pytest.mark.parametrize("bad", [Talkative, TalkativeInAnOutcome])
def test_a_sink_that_shows_a_secret_is_caught(tmp_path, caplog, capfd, bad):
    class Bad(TestGood):
        sink = bad

    with pytest.raises(AssertionError, match="a secret is shown"):
        Bad().test_secrets_are_shown_nowhere(tmp_path, caplog, capfd)


def test_a_secret_that_is_a_plain_string_is_caught():
    class Careless(Config):
        password: str = Field("", description="Not hidden.")

    class Bad(TestGood):
        sink = type("Bad", (GoodSink,), {"Config": Careless})

    with pytest.raises(AssertionError, match="SecretStr"):
        Bad().test_the_config_has_a_schema_and_hides_what_is_secret()


def test_a_blocking_client_belongs_into_a_sync_sink(tmp_path):
    class Threaded(SyncSink[GoodConfig]):
        use = "good"
        Config = GoodConfig
        spec = Spec(repeats=Repeats.EVENT_ID)

        def write(self, batch):
            time.sleep(0.001)
            for event in batch.events:
                STORES[self.config.store].put(event)
            return Result()

    class Mine(TestGood):
        sink = Threaded

    Mine().test_the_event_loop_is_free_while_it_writes(tmp_path)
    Mine().test_as_many_writes_at_once_as_it_declares(tmp_path)
    Mine().test_cancellation(tmp_path, 2)


def test_a_case_is_left_out_with_a_reason_and_no_other_way(tmp_path):
    class Silently(TestGood):
        cannot: ClassVar = {Unavailable: ""}

    class Unknown(TestGood):
        cannot: ClassVar = {"Unavailable": "because of the weather"}

    class Saying(TestGood):
        cannot: ClassVar = {Unavailable: "it is always there"}

    class Undeclared(TestGood):
        @contextlib.asynccontextmanager
        async def target(self, folder):
            class Plain(Target):
                received = Store.received
                events = ()

            STORES[str(folder)] = plain = Plain()
            yield plain

    for bad in (Silently, Unknown):
        with pytest.raises(AssertionError, match="cannot"):
            bad().test_every_case_that_is_left_out_says_why()
    with pytest.raises(pytest.skip.Exception, match="always there"):
        Saying().test_transient(tmp_path)
    with pytest.raises(NotImplementedError, match="cannot"):
        Undeclared().test_transient(tmp_path)
