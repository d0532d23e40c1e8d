"""What is promised to one sink in one shard: batches that were sealed and are not settled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from headgate.v1 import event_pb2, log_pb2
from headgate_sinks import Batch

from headgate_service.delivery.batch_reader import EventCache, rebuild
from headgate_service.delivery.dead_letter_bounds import DeadLetterBound
from headgate_service.delivery.holds import ProjectHolds
from headgate_service.delivery.log_range import LogRange, events_of, selected_in
from headgate_service.delivery.settlement import GivenUp, ProjectSettlement, Settlement
from headgate_service.delivery.shard_log import ShardLog
from headgate_service.log.position import Position
from headgate_service.model.event_view import Fields, seen

_OWN_NAME_CHARACTERS = 23


@dataclass(slots=True)
class SealedBatch:
    """A batch that was sealed and is not settled. `attempts` are this process's."""

    number: int
    seal_time_ms: int
    log_ranges: list[LogRange]
    # What the log no longer held when the batch was rebuilt; such a batch is not sent, since it would not be the same.
    lost: bool = False
    ranges: dict[str, GivenUp] = field(default_factory=dict)
    attempts: int = 0
    first_ms: int = 0
    # How often the sink's process crashed with it while it wrote nothing else; None: it did not at all.
    crashes: int | None = None
    # It is part of a batch that was halved because of that.
    suspect: bool = False
    # What the sink is to see of the events; None: everything.
    fields: Fields | None = None
    # It takes a new number before it is sent: batches of higher numbers are sent meanwhile, and targets that know
    # batches by their numbers would take it for one that they have.
    parked: bool = False

    def of(self, log_ranges: list[LogRange]) -> "SealedBatch":
        """Another batch, which was tried as often."""
        return SealedBatch(0, 0, log_ranges, attempts=self.attempts, first_ms=self.first_ms)

    @property
    def events(self) -> Sequence[event_pb2.Event]:
        return events_of(self.log_ranges)


class SealedBatches:
    """The promised batches, the oldest first. Every change is one fence-checked step in Redis, and raises
    RedisUnavailable, Fenced, or Stale where what is here is not what Redis holds: then `load` again."""

    def __init__(
        self,
        log: ShardLog,
        sink: str,
        epoch: str,
        cache: EventCache,
        config_version: int,
        spec_hash: bytes,
        fields: Fields | None,
        letters: DeadLetterBound,
        on_step: Callable[[str], None],
    ) -> None:
        self._log = log
        self._sink = sink
        self._epoch = epoch
        self._cache = cache
        self._config_version = config_version
        self._spec_hash = spec_hash
        self._fields = fields
        self._letters = letters
        self._on_step = on_step
        self._batches: list[SealedBatch] = []
        self._version = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[SealedBatch]:
        return iter(self._batches)

    def next(self, holds: ProjectHolds) -> SealedBatch | None:
        """The oldest that does not wait, those that were parked at the end."""
        ready = [one for one in self._batches if not holds.holds(one.log_ranges)]
        return min(ready, key=lambda one: one.parked, default=None)

    def to_park(self, holds: ProjectHolds) -> bool:
        """Whether some wait that are not parked."""
        return any(holds.holds(one.log_ranges) and not one.parked for one in self._batches)

    def hold(self, project_id: str) -> bool:
        return any(log_range.project_id == project_id for one in self._batches for log_range in one.log_ranges)

    async def load(self) -> None:
        """Takes up what Redis holds."""
        self._batches = []
        seals = await self._log.seals(self._sink)
        self._version = seals.version
        for number, sealed in seals.batches.items():
            self._batches.append(await self._rebuilt(number, sealed))
            self._on_step("read")

    async def seal(self, log_ranges: list[LogRange]) -> None:
        """Promises a batch more."""
        now_ms = await self._log.now_ms()
        number, self._version = await self._log.seal(self._sink, self._version, self._sealed(log_ranges, now_ms))
        self._on_step("seal")
        self._batches.append(SealedBatch(number, now_ms, log_ranges, fields=self._fields))

    async def settle(self, projects: Sequence[ProjectSettlement], gone: SealedBatch | None = None) -> None:
        """Records what became of events, with which a promised batch may end."""
        await self._record(Settlement([] if gone is None else [gone.number], projects=projects))
        if gone is not None:
            self._batches.remove(gone)

    async def replace(self, batches: Sequence[SealedBatch], projects: Sequence[ProjectSettlement]) -> None:
        """Promises other batches in place of all that are promised. They take new numbers, since none of them has the
        content of an old one, but for others, which the target has nothing of and which must come after."""
        now_ms = await self._log.now_ms()
        blobs = [self._sealed(batch.log_ranges, now_ms, batch.parked) for batch in batches]
        numbers = await self._record(Settlement([one.number for one in self._batches], blobs, projects))
        for number, batch in zip(numbers, batches, strict=True):
            batch.number, batch.seal_time_ms, batch.fields = number, now_ms, self._fields
        self._batches = list(batches)

    def batch(self, promised: SealedBatch) -> Batch:
        """What the sink gets of it."""
        return Batch(
            id=self.id_of(promised),
            epoch=self._epoch,
            shard=self._log.shard,
            number=promised.number,
            seal_time_ms=promised.seal_time_ms,
            events=seen(promised.events, promised.fields),
            attempt=promised.attempts,
        )

    def id_of(self, promised: SealedBatch) -> str:
        return batch_id(self._epoch, self._sink, self._log.shard, promised.number)

    async def _record(self, settlement: Settlement) -> list[int]:
        recorded = await self._log.settle(self._sink, self._version, settlement, self._letters.size)
        self._version = recorded.version
        self._on_step("settle")
        for project_id, letters in recorded.unkept.items():
            self._letters.unkept(project_id, letters)
        return recorded.numbers

    def _sealed(self, log_ranges: list[LogRange], seal_time_ms: int, parked: bool = False) -> bytes:
        return log_pb2.SealedBatch(
            ranges=[log_range.sealed() for log_range in log_ranges],
            config_version=self._config_version,
            spec_hash=self._spec_hash,
            seal_time_ms=seal_time_ms,
            fields=self._fields.source if self._fields else b"",
            parked=parked,
        ).SerializeToString()

    async def _rebuilt(self, number: int, sealed: log_pb2.SealedBatch) -> SealedBatch:
        fields = Fields.parse(sealed.fields) if sealed.fields else None
        promised = SealedBatch(number, sealed.seal_time_ms, [], fields=fields, parked=sealed.parked)
        for one in sealed.ranges:
            log_range = await rebuild(self._log, self._cache, one)
            promised.log_ranges.append(log_range)
            end = log_range.end
            if end.seq != one.last_seq:
                promised.lost = True
                end = await self._end_of_lost(one)
            promised.ranges[one.project_id] = _given_up(one, end)
        return promised

    async def _end_of_lost(self, one: log_pb2.SealedRange) -> Position:
        entries = await self._log.read_range(one.project_id, one.after_entry, one.last_entry)
        if not entries:
            return Position(one.last_entry, one.last_seq, one.last_bytes)
        # The last entry may hold more than was promised, which is still to be delivered.
        done = [entry for entry in entries if entry.seq <= one.last_seq]
        if not done:
            return Position(one.after_entry, one.last_seq, one.last_bytes - one.bytes)
        return Position(done[-1].id, one.last_seq, done[-1].log_bytes)


def _given_up(sealed: log_pb2.SealedRange, end: Position) -> GivenUp:
    selected = selected_in(sealed)
    filtered: Sequence[int] = ()
    if not sealed.counted:
        chosen = set(selected)
        filtered = [one for one in range(sealed.after_seq + 1, sealed.last_seq + 1) if one not in chosen]
    return GivenUp(end, selected, sealed.bytes, filtered, sealed.route_errors)


def batch_id(epoch: str, sink: str, shard: int, number: int) -> str:
    """At most 100 characters, given that an epoch has 16 and an operator's sink's name at most 40. Of a project's own
    sink it holds the name, and what tells it from others of that name."""
    _, slash, name = sink.rpartition("/")
    if slash:
        sink = f"{name[:_OWN_NAME_CHARACTERS]}.{blake2b(sink.encode(), digest_size=8).hexdigest()}"
    return f"{epoch}-{sink}-s{shard:02d}-{number:06d}"
