"""A sink: one class, in one file, that writes batches of events to one kind of target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from headgate_sinks.batch import Batch
from headgate_sinks.result import Misconfigured, Outcome
from headgate_sinks.secret import SecretMissing, no_resolver, read_secret

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
