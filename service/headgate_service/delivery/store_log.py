"""What a replay sends from the store, as the part of a log that it would be if the log still held it."""

from dataclasses import dataclass

from headgate.v1 import delivery_pb2, event_pb2

from headgate_service.delivery.lease import Lease
from headgate_service.delivery.replay import ReplayLog
from headgate_service.errors import RedisUnavailable, StoreFailed
from headgate_service.log.reader import Entry, Read
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.store.history import History, Moment

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class StoreEntry(Entry):
    """The events that were received in one millisecond, which are complete; its id is that time."""

    found: "tuple[event_pb2.Event, ...]" = ()

    def read(self) -> Read:
        return Read(list(self.found), sum(event.ByteSize() for event in self.found))


class StoreLog(ReplayLog):
    """Events are numbered from 1 in their order within the replay. A store that does not answer is waited for as Redis
    is."""

    def __init__(self, redis: RedisPipeline, lease: Lease, stored: delivery_pb2.StoredReplay, history: History) -> None:
        super().__init__(redis, lease, stored)
        self._history = history
        # What was read and not asked for yet, by project, and the time that it comes after.
        self._ahead: dict[str, tuple[int, list[Moment]]] = {}
        # The events through each of the latest entries, by project and the entry's id.
        self._through: dict[tuple[str, str], int] = {}

    async def read(self, project_id: str, after: str, count: int) -> list[Entry]:
        part = self._ranges[project_id]
        try:
            moments = await self._following(project_id, _ms(after), count)
            before = await self._events_through(project_id, after)
        except StoreFailed as error:
            raise RedisUnavailable(f"the store: {error}") from None
        entries = self._entries(project_id, moments, before)
        if len(moments) < count and (entries[-1].seq if entries else before) < part.last_seq:
            # What was there when the replay began is there no more: deleted, or kept long enough.
            entries.append(self._entry(project_id, Moment(_ms(part.last_entry), (), b""), part.last_seq))
        return entries

    async def _following(self, project_id: str, after_ms: int, count: int) -> list[Moment]:
        """So many moments, or all that there are: fewer tell the reader that there are no more."""
        part = self._ranges[project_id]
        known_ms, ahead = self._ahead.pop(project_id, (after_ms, []))
        if known_ms != after_ms:
            ahead = []
        while len(ahead) < count:
            begin = max(part.from_ms, (ahead[-1].ms if ahead else after_ms) + 1)
            more = await self._history.moments(project_id, begin, part.to_ms)
            if not more:
                break
            ahead += more
        taken, left = ahead[:count], ahead[count:]
        if taken and left:
            self._ahead[project_id] = taken[-1].ms, left
        return taken

    async def read_range(self, project_id: str, after: str, last: str) -> list[Entry]:
        part = self._ranges[project_id]
        try:
            moments = await self._history.between(project_id, max(part.from_ms, _ms(after) + 1), _ms(last) + 1)
            before = await self._events_through(project_id, after)
        except StoreFailed as error:
            raise RedisUnavailable(f"the store: {error}") from None
        return self._entries(project_id, moments, before)

    def _entries(self, project_id: str, moments: list[Moment], before: int) -> list[Entry]:
        entries: list[Entry] = []
        last = self._ranges[project_id].last_seq
        for moment in moments:
            if before >= last:
                break
            # What came into a time that was over is none of the replay's.
            kept = moment.events[: last - before]
            before += len(kept)
            entries.append(self._entry(project_id, Moment(moment.ms, kept, moment.rows), before))
        return entries

    def _entry(self, project_id: str, moment: Moment, seq: int) -> Entry:
        name = f"{moment.ms}-0"
        if len(self._through) >= _REMEMBERED:
            self._through.clear()
        self._through[project_id, name] = seq
        size = self._ranges[project_id].last_bytes
        return StoreEntry(project_id, name, moment.ms, seq, size, frozenset(), bytes(moment.rows), tuple(moment.events))

    async def _events_through(self, project_id: str, entry_id: str) -> int:
        part = self._ranges[project_id]
        if _ms(entry_id) < part.from_ms:
            return 0
        known = self._through.get((project_id, entry_id))
        if known is None:
            known = (await self._history.extent(project_id, part.from_ms, _ms(entry_id) + 1)).events
            self._through[project_id, entry_id] = known
        return known


def _ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
