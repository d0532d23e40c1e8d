"""A sink: one class, in one file, that writes batches of events to one kind of target."""

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, cast

from headgate.v1 import event_pb2
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headgate_sinks.sdk.secret import SecretMissing, no_resolver, read_secret


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one shard, promised under one id: a resend of `id` holds the same events in the same order.

    `epoch`, `shard` and `number` name the same promise in parts: within one epoch and shard, a sink's batches come one
    after another with rising numbers, and a number that was reported as written never comes back with other content.
    `seal_time_ms` is when the batch was promised, in milliseconds since 1970; it stays over resends too, while
    `attempt` counts the writes since this process took the batch up, from 1. `id` has at most 100 characters, all of
    them safe in a header, and holds nothing personal.

    The events are shared between sinks: do not change them.
    """

    id: str
    epoch: str
    shard: int
    number: int
    seal_time_ms: int
    events: Sequence[event_pb2.Event]
    attempt: int = 1


# `write` returns a `Result`, which speaks of each event, or one of `Retry`, `Misconfigured` and `TooLarge`, which may
# also be raised. Any other exception counts as `Retry()`.


@dataclass(frozen=True, slots=True)
class Reject:
    """Events that the target will never take: they become dead letters, and are not sent again by themselves.

    `events` are their places in the batch, from 0. `code` is short and stable, such as `http_422`; `message` is for the
    person who looks at the dead letters, and holds no secret.
    """

    events: tuple[int, ...]
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """The batch was written, but for the events that are rejected; an event rejected twice takes the first reason."""

    rejected: tuple[Reject, ...] = ()


class Retry(Exception):
    """Not written, or not known to be: the same batch comes again after `after` seconds, or where that is None after a
    growing pause. Waits of more than an hour are cut to one.

    `events` names, by their places in the batch, the only events that this is true of, where the others are written for
    certain. Those named come again, in their order, as a batch of their own with an id of its own; or the whole batch
    comes again as it was, which a sink must expect in any case. Events to reject may be named among them: they are
    rejected when they come again. None: all of the batch. Raises ValueError where none is named.
    """

    def __init__(self, message: str = "", after: float | None = None, events: Iterable[int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.after = after
        self.events = None if events is None else tuple(sorted(set(events)))
        if self.events == ():
            raise ValueError("a Retry of no events: return a Result where all are written")


class Misconfigured(Exception):
    """Not written, and it will not be until a person changes something: the sink pauses, keeps everything, shows
    `message`, and looks again every minute. Say what to change, and no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(Exception):
    """Not written, because the target takes no batch of this size: it comes again in two halves, each a batch of its
    own with an id of its own. A single event that is too large becomes a dead letter."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


Outcome = Result | Retry | Misconfigured | TooLarge


T = TypeVar("T")


class SinkThread:
    """Starts with its first call. It does not keep the process from ending while a call hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._started = False

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises. If this is cancelled, a call that has begun goes on to its end, and the next
        one waits for that; one that has not begun is not made."""
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        self._calls.put((future, lambda: context.run(call)))
        if not self._started:
            self._started = True
            # Not an executor's: those are waited for when the process ends, however long.
            Thread(target=_make_calls, args=(self._calls,), name=self._name, daemon=True).start()
        returned, raised = await asyncio.wrap_future(future)
        if raised is None:
            return cast(T, returned)
        if not isinstance(raised, Exception):
            # `sys.exit` in a plugin must not end the process.
            raise RuntimeError(f"the sink raised {type(raised).__name__}") from raised
        raise raised

    def end(self) -> None:
        """Ends the thread after the calls that wait; the next `run` starts another."""
        if self._started:
            self._started = False
            self._calls.put(None)
            self._calls = SimpleQueue()


def _make_calls(calls: "SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]") -> None:
    while (item := calls.get()) is not None:
        future, call = item
        if not future.set_running_or_notify_cancel():
            continue
        # A plugin's code: whatever it raises belongs to the caller. It is a part of the result, since asyncio takes
        # some exceptions in a future for its own.
        try:
            answer: tuple[Any, BaseException | None] = (call(), None)
        except BaseException as error:  # noqa: BLE001
            answer = (None, error)
        future.set_result(answer)
        del item, future, call, answer


if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

WhenFull = Literal["refuse", "expire"]


class Repeats(Enum):
    """How a target recognises a batch that it got before, which is what makes delivery exactly once."""

    BATCH_ID = "batch_id"
    """By the batch's id, which the sink hands on."""
    NUMBER = "number"
    """By the shard's rising number, of which the sink keeps the last together with what it wrote."""
    EVENT_ID = "event_id"
    """By the events' ids, one by one."""
    NONE = "none"
    """Not at all: after a crash or a lost answer events may arrive twice."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a batch may get and how long it may gather: whatever is reached first closes it.

    `bytes` are of the events in protobuf form; an event that is larger alone makes a batch of its own. `age` is in
    seconds, from when the first event of the batch was noticed; batches of all shards close in the same moments, most
    of them sooner.
    """

    events: int = 500
    bytes: int = 1024 * 1024
    age: float = 1.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What the engine must know of a kind of sink.

    `concurrency`: how many writes may run at once; those of one shard always come one after another. `write_seconds`:
    after this long a write is given up and comes again. `when_full`: what happens to a project whose waiting events
    exceed the bound, unless the operator says otherwise: `refuse` new ones, or `expire` the oldest as dead letters.
    `per_event`: whether a rejection is meant of each event; where False, the target answers for whole batches, and one
    that is rejected whole comes again in halves, each a batch of its own, down to the events that it is about.
    """

    limits: Limits = field(default_factory=Limits)
    concurrency: int = 4
    repeats: Repeats = Repeats.NONE
    when_full: WhenFull = "expire"
    write_seconds: float = 60.0
    per_event: bool = True


class Config(BaseModel):
    """What stands in a sink's `[sinks.config]`. A sink adds its own fields by inheriting."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max_events: int | None = Field(None, ge=1, le=10_000, description="Events a batch holds at most.")
    max_bytes: int | None = Field(
        None, ge=1, le=16 * 1024 * 1024, description="Bytes a batch holds at most, of its events in protobuf form."
    )
    max_age: float | None = Field(None, ge=0, le=300, description="Seconds a batch gathers at most.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sink runs: its configured name, the data directory, the environment for `env:` secrets, the clock
    (seconds since 1970), what asks plugins for the secret behind a reference, and what resolves names for connections
    over HTTP (None: as the machine does)."""

    name: str
    data_dir: Path
    clock: Callable[[], float]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    resolve_secret: Callable[[str], str | None] = field(default=no_resolver, repr=False)
    resolver: "AbstractResolver | None" = field(default=None, repr=False)

    def secret(self, given: str | SecretStr) -> str:
        """The secret behind `env:NAME`, `file:PATH` or a reference that a plugin knows; else the secret itself. A
        plugin may wait for a network: where `open` is a coroutine, call this in a thread. Raises Misconfigured."""
        try:
            given = given.get_secret_value() if isinstance(given, SecretStr) else given
            return read_secret(given, self.environment, self.resolve_secret)
        except SecretMissing as error:
            raise Misconfigured(str(error)) from None


_Config = Config
C = TypeVar("C", bound=Config)


class Kind(Generic[C]):
    """What a sink is, in either of its two forms: `Sink`, whose methods are coroutines, and `SyncSink`."""

    use: ClassVar[str]
    """The name by which a configuration asks for this kind of sink; also its entry point's name."""
    Config: ClassVar[type[_Config]]
    """The model of its `[sinks.config]`."""
    spec: Spec = Spec()
    """Declared by the class."""

    def __init__(self, config: C, place: Place) -> None:
        self.config = config
        self.place = place

    @property
    def limits(self) -> Limits:
        """The kind's limits, or the operator's."""
        given, own = self.config, self.spec.limits
        return Limits(
            own.events if given.max_events is None else given.max_events,
            own.bytes if given.max_bytes is None else given.max_bytes,
            own.age if given.max_age is None else given.max_age,
        )


class Sink(Kind[C], ABC):
    """Writes batches to a target. One object per configured sink and forwarder; all calls come from one event loop.

    Wherever a method may fail: raise `Misconfigured` where a person must act, anything else to be tried again.
    """

    async def open(self) -> None:
        """Called once before the first write, and again after it failed."""

    async def check(self) -> None:
        """Finds out whether the target is there and the configuration is good, without writing anything. May be called
        without `open`."""

    @abstractmethod
    async def write(self, batch: Batch) -> Outcome:
        """Writes a batch, so that it stays written, before returning. May be cancelled at any await."""

    async def close(self) -> None:
        """Called at the end, where `open` was called. A second call does nothing."""


class SyncSink(Kind[C], ABC):
    """Writes batches to a target, one at a time, whatever `spec.concurrency` says. All calls come from one thread,
    which makes no others. A write that is given up (after `spec.write_seconds`) or cancelled goes on to its end before
    the next call; so give the client timeouts of its own.

    What each method is for, and what it may raise, is as in `Sink`.
    """

    # In the order in which they are called; only `write` must be there.
    def open(self) -> None: ...

    def check(self) -> None: ...

    @abstractmethod
    def write(self, batch: Batch) -> Outcome: ...

    def close(self) -> None: ...


AnySink = Sink[Any] | SyncSink[Any]


class ThreadedSink(Sink[Any]):
    """A SyncSink as the forwarder runs it."""

    def __init__(self, sink: SyncSink[Any]) -> None:
        super().__init__(sink.config, sink.place)
        self.spec = replace(sink.spec, concurrency=1)
        self._sink = sink
        self._thread = SinkThread(f"sink-{sink.place.name}")

    async def open(self) -> None:
        await self._thread.run(self._sink.open)

    async def check(self) -> None:
        await self._thread.run(self._sink.check)

    async def write(self, batch: Batch) -> Outcome:
        return await self._thread.run(lambda: self._sink.write(batch))

    async def close(self) -> None:
        try:
            await self._thread.run(self._sink.close)
        finally:
            self._thread.end()


def running(sink: AnySink) -> Sink[Any]:
    """The sink with coroutines for methods, whichever form it has."""
    return ThreadedSink(sink) if isinstance(sink, SyncSink) else sink
