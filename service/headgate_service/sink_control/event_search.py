"""Finds events by their id, their receipt or whose they are, and where each is at every sink."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headgate.v1 import event_pb2
from headgate.v1.receipt_service_pb2 import SinkProgress

from headgate_service.directory.project import Project
from headgate_service.log.entry import EntryUnreadable
from headgate_service.log.reader import Entry, entry
from headgate_service.model.receipt import Receipt, ReceiptInvalid, ReceiptMaker
from headgate_service.redis.keys import shard_keys
from headgate_service.redis.pipeline import RedisPipeline
from headgate_service.sink_control.receipt_lookup import ReceiptLookup

MAX_EVENTS = 10_000
MAX_FOUND = 20
MAX_SECONDS = 5.0
_PAGE_ENTRIES = 20

Matches = Callable[[event_pb2.Event, int], bool]


@dataclass(slots=True)
class Search:
    """What a search has found so far, the latest first."""

    found: list[tuple[event_pb2.Event, list[SinkProgress]]] = field(default_factory=list)
    searched: int = 0
    complete: bool = False


class EventSearch:
    """Reads a project's log backwards."""

    def __init__(
        self,
        redis: RedisPipeline,
        receipts: ReceiptMaker,
        lookup: ReceiptLookup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._receipts = receipts
        self._lookup = lookup
        self._clock = clock

    async def search(self, project: Project, text: str) -> Search:
        """Raises RedisUnavailable."""
        matches, oldest = self._matches(project, text)
        search, ends, through = Search(), self._clock() + MAX_SECONDS, "+"
        log = shard_keys(project.shard).project(project.id).log
        while self._clock() < ends and search.searched < MAX_EVENTS:
            raw: list[Any] = await self._redis.execute("XREVRANGE", log, through, "-", "COUNT", _PAGE_ENTRIES)
            for one in (_entry(project.id, *pair) for pair in raw):
                for event, ordinal in _numbered(one):
                    search.searched += 1
                    if matches(event, ordinal):
                        search.found.append((event, await self._places(project, one.ms, ordinal)))
                if len(search.found) >= MAX_FOUND or one.seq <= oldest:
                    search.complete = one.seq <= oldest
                    return search
                through = f"({one.id}"
            if len(raw) < _PAGE_ENTRIES:
                search.complete = True
                return search
        return search

    def _matches(self, project: Project, text: str) -> tuple[Matches, int]:
        """What is looked for, and the ordinal below which there is none of it."""
        try:
            receipt = self._receipts.read(text)
        except ReceiptInvalid:
            return lambda event, _: text in _names(event), 0
        ranges = receipt.ranges if receipt.project_id == project.id else ()
        oldest = min((before for before, _ in ranges), default=0)
        return lambda _, ordinal: any(before < ordinal <= last for before, last in ranges), oldest

    async def _places(self, project: Project, ms: int, ordinal: int) -> list[SinkProgress]:
        one = Receipt(project.id, project.shard, ms, 1, 1, 0, 0, ((ordinal - 1, ordinal),))
        return list((await self._lookup.progress("", one)).sinks)


def _names(event: event_pb2.Event) -> tuple[str, ...]:
    return (event.event_id, event.user_id, event.distinct_id, event.anonymous_id, event.session_id)


def _entry(project_id: str, entry_id: bytes, flat: list[bytes]) -> Entry:
    return entry(project_id, entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))


def _numbered(one: Entry) -> Iterator[tuple[event_pb2.Event, int]]:
    """Its events and their ordinals, the latest first."""
    try:
        events = one.events()
    except EntryUnreadable:
        return
    for back, event in enumerate(reversed(events)):
        yield event, one.seq - back
