"""Events as they become durable, for a person who watches."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from headgate.v1 import event_pb2
from redis.exceptions import RedisError

from headgate_service.directory.project import Project
from headgate_service.errors import LogUnreachable, TooManyTails
from headgate_service.log.entry import EntryUnreadable
from headgate_service.log.reader import Entry, entry
from headgate_service.model.principal import Principal
from headgate_service.redis.keys import ProjectKeys, shard_keys

# Entries of a project in memory at once: a slow watcher leaves the rest in Redis.
PAGE_ENTRIES = 4
# The same when looking back for the latest ones, of which only the counts are kept.
BACKWARD_ENTRIES = 32
BLOCK_MS = 1_000
REPLY_SECONDS = 5.0

_START = "0-0"

_log = structlog.get_logger(__name__)


class Tail(Protocol):
    """Where watched events come from: LogTail outside tests."""

    def events(self, chosen: Callable[[], Sequence[Project]], last: int) -> AsyncIterator[event_pb2.Event]:
        """The latest `last` events of each project that `chosen` gives, then each that comes, in order per project.

        `chosen` is asked again each second, so that new projects join. Ends only by raising: LogUnreachable, or what
        `chosen` raises.
        """

    def latest(self, projects: Sequence[Project], last: int) -> AsyncIterator[event_pb2.Event]:
        """The latest `last` events of each project, in order, and no more. Raises LogUnreachable."""


@dataclass(slots=True)
class _Place:
    """How far a project's log was shown: through the entry `after`, and through its accepted event number `seen`."""

    keys: ProjectKeys
    after: str
    seen: int

    def show(self, read: Entry) -> list[event_pb2.Event]:
        """The events of the next entry that were not shown yet."""
        try:
            events = read.events()
        except EntryUnreadable as error:
            _log.error("log-entry-unreadable", project=self.keys.project_id, entry=read.id, error=str(error))
            events = []
        unseen = max(read.seq - self.seen, 0)
        self.after, self.seen = read.id, max(read.seq, self.seen)
        return events[-unseen:] if unseen else []


class LogTail:
    """Reads the projects' logs; `redis` is a redis.asyncio client that returns bytes."""

    def __init__(self, redis: Any, *, block_ms: int = BLOCK_MS, reply_seconds: float = REPLY_SECONDS) -> None:
        self._redis = redis
        self._block_ms = block_ms
        self._reply_seconds = reply_seconds

    async def events(self, chosen: Callable[[], Sequence[Project]], last: int) -> AsyncIterator[event_pb2.Event]:
        places = {keys.log: await self._place(keys, last) for keys in map(_keys, chosen())}
        loop = asyncio.get_running_loop()
        chosen_at = loop.time()
        while True:
            for log, entry_id, fields in await self._news(places):
                place = places[log]
                for event in place.show(entry(place.keys.project_id, entry_id, fields)):
                    yield event
            if loop.time() - chosen_at >= self._block_ms / 1000:
                chosen_at = loop.time()
                for keys in map(_keys, chosen()):
                    # A project that joins later is new, and so are all its events.
                    places.setdefault(keys.log, _Place(keys, _START, 0))

    async def latest(self, projects: Sequence[Project], last: int) -> AsyncIterator[event_pb2.Event]:
        for keys in map(_keys, projects):
            newest = await self._back(keys, "+", 1)
            if not newest:
                continue
            place = await self._place(keys, last, newest[0].id)
            while place.after != newest[0].id:
                reading = self._redis.xrange(keys.log, f"({place.after}", newest[0].id, PAGE_ENTRIES)
                page = await self._reply(reading, self._reply_seconds)
                if not page:
                    break
                for entry_id, fields in page:
                    for event in place.show(entry(keys.project_id, entry_id, fields)):
                        yield event

    async def _place(self, keys: ProjectKeys, last: int, through: str = "+") -> _Place:
        """Where to start so that the latest `last` events, of those through an entry, come first."""
        page = await self._back(keys, through, 1)
        seen = page[0].seq - last if page else 0
        while page:
            for read in page:
                if read.seq <= seen:
                    return _Place(keys, read.id, seen)
            page = await self._back(keys, f"({page[-1].id}", BACKWARD_ENTRIES)
        return _Place(keys, _START, seen)

    async def _back(self, keys: ProjectKeys, through: str, count: int) -> list[Entry]:
        raw = await self._reply(self._redis.xrevrange(keys.log, max=through, count=count), self._reply_seconds)
        return [entry(keys.project_id, entry_id, fields) for entry_id, fields in raw]

    async def _news(self, places: dict[str, _Place]) -> list[tuple[str, bytes, dict[bytes, bytes]]]:
        """The next entries of every log that has some, waiting for the first at most the time to block."""
        if not places:
            await asyncio.sleep(self._block_ms / 1000)
            return []
        after = {log: place.after for log, place in places.items()}
        reading = self._redis.xread(after, count=PAGE_ENTRIES, block=self._block_ms)
        reply = await self._reply(reading, self._block_ms / 1000 + self._reply_seconds)
        return list(_flat(reply))

    async def _reply(self, reply: Awaitable[Any], seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await reply
        except (TimeoutError, RedisError, OSError) as error:
            raise LogUnreachable(f"Redis does not answer: {error or 'no reply in time'}") from error


def _keys(project: Project) -> ProjectKeys:
    return shard_keys(project.shard).project(project.id)


def _flat(reply: Any) -> Iterator[tuple[str, bytes, dict[bytes, bytes]]]:
    # A list of pairs or a dict, by the protocol that was agreed with the server.
    for log, entries in reply.items() if isinstance(reply, dict) else reply or ():
        for entry_id, fields in entries:
            yield log.decode(), entry_id, fields


MAX_EACH = 10
MAX_PROJECT = 25
MAX_CALLERS = 100
MAX_OPERATORS = 20
# Each of those who watch holds one; a few more end late.
CONNECTIONS = MAX_CALLERS + MAX_OPERATORS + 20


class Watchers:
    """Those who watch events at one service: so many in all, of each person or key, and of each project. The operator
    has places apart, so that nobody keeps them from looking."""

    def __init__(
        self,
        most: int = MAX_CALLERS,
        most_each: int = MAX_EACH,
        most_project: int = MAX_PROJECT,
        most_operators: int = MAX_OPERATORS,
    ) -> None:
        self._most = most
        self._most_each = most_each
        self._most_project = most_project
        self._most_operators = most_operators
        self._people: Counter[str] = Counter()
        self._projects: Counter[str] = Counter()
        self._operators = 0

    @contextmanager
    def one_more(self, principal: Principal, project_id: str) -> Iterator[None]:
        """Counts one for as long as they watch. Raises TooManyTails."""
        who = principal.user_id or principal.credential_id
        if self._people[who] >= self._most_each:
            raise TooManyTails(f"you watch {self._most_each} times already: end one of them first")
        if self._projects[project_id] >= self._most_project:
            raise TooManyTails(f"{self._most_project} watch the project's events already: try again later")
        if self._people.total() >= self._most:
            raise TooManyTails(f"{self._most} watch events at this service already: try again later")
        self._people[who] += 1
        self._projects[project_id] += 1
        try:
            yield
        finally:
            self._people -= Counter({who: 1})
            self._projects -= Counter({project_id: 1})

    @contextmanager
    def operator(self) -> Iterator[None]:
        """Counts one of the operator's. Raises TooManyTails."""
        if self._operators >= self._most_operators:
            raise TooManyTails(f"operators watch {self._most_operators} times already: end one of them first")
        self._operators += 1
        try:
            yield
        finally:
            self._operators -= 1
