"""Answers queries: parsed, looked up among the answers that are kept, or asked of the store."""

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from headgate_service.errors import TooManyQueries, invalid
from headgate_service.query.answer import answered
from headgate_service.query.filter import AllOf, AnyOf, Condition, Leaf, Not, leaves
from headgate_service.query.group_sql import Scope
from headgate_service.query.limited_store import LimitedStore, PatternInvalid, Rows
from headgate_service.query.query import Query, parse_query
from headgate_service.query.request_fields import Faults
from headgate_service.query.time import Clock, Moment, Period, bucket_of

# Of what a dictionary, a key and an entry take beside their text.
_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer's results as JSON, and what is said of it. `at_ms` is when it was made."""

    results: bytes
    meta: dict[str, Any]
    at_ms: int


class Cache:
    """The latest answers in at most `most_bytes`; those that were not asked for longest go first."""

    def __init__(self, most_bytes: int, clock: Callable[[], float]) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[tuple[str, bytes], tuple[Kept, float]] = OrderedDict()
        self._bytes = 0

    def get(self, project_id: str, query: bytes) -> Kept | None:
        kept, until = self._kept.get((project_id, query), (None, 0.0))
        if kept is None or until <= self._clock():
            return None
        self._kept.move_to_end((project_id, query))
        return kept

    def put(self, project_id: str, query: bytes, kept: Kept, seconds: float) -> None:
        """Keeps an answer for so long. One that would fill the cache by itself is not kept."""
        place = (project_id, query)
        self._drop(place)
        size = _size(place, kept)
        if size > self._most_bytes // 2:
            return
        self._kept[place] = (kept, self._clock() + seconds)
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def forget(self, project_id: str) -> None:
        """Drops all answers about a project."""
        for place in [place for place in self._kept if place[0] == project_id]:
            self._drop(place)

    def _drop(self, place: tuple[str, bytes]) -> None:
        if place in self._kept:
            kept, _ = self._kept.pop(place)
            self._bytes -= _size(place, kept)


def _size(place: tuple[str, bytes], kept: Kept) -> int:
    # The normal form stands in the meta again.
    return len(kept.results) + 3 * len(place[1]) + _OVERHEAD


MAX_AT_ONCE = 5


class ConcurrencyLimit:
    """Counts, in this process, the queries that run."""

    def __init__(self, most: int = MAX_AT_ONCE) -> None:
        self._most = most
        self._running: Counter[str] = Counter()

    @contextmanager
    def one(self, project_id: str) -> Iterator[None]:
        """Raises TooManyQueries."""
        if self._running[project_id] >= self._most:
            raise TooManyQueries(f"{self._most} queries of this project run already: retry when one has ended")
        self._running[project_id] += 1
        try:
            yield
        finally:
            self._running[project_id] -= 1
            if not self._running[project_id]:
                del self._running[project_id]


def normal_form(query: Query, project: str) -> dict[str, Any]:
    """JSON that asks the same again."""
    clock = query.clock
    form: dict[str, Any] = {"type": query.type, "projectId": project}
    if query.funnel is None:
        form["event"] = query.event or "*"
    form["dateRange"] = _period(query.period, clock) | {"timezone": clock.name}
    if query.buckets:
        form["interval"] = query.buckets.interval
    if query.funnel is None:
        key = query.metric.key
        form["metric"] = {"agg": query.metric.name, "property": key.name} if key else query.metric.name
    if query.condition != AllOf(()):
        form["filter"] = _condition(query.condition, clock)
    if query.breakdown:
        chosen = query.breakdown
        form["breakdown"] = {"key": chosen.key.name, "limit": chosen.limit, "other": chosen.other}
    if query.compare is not None:
        form["compare"] = query.compare if isinstance(query.compare, str) else _period(query.compare, clock)
    if query.funnel:
        form |= _funnel(query, clock)
    form["includeTest"] = query.include_test
    return form


def _period(period: Period, clock: Clock) -> dict[str, Any]:
    return {"start": clock.text(period.start), "end": clock.text(period.end)}


def _funnel(query: Query, clock: Clock) -> dict[str, Any]:
    assert query.funnel is not None  # noqa: S101 - the caller looked
    steps = []
    for step in query.funnel.steps:
        form: dict[str, Any] = {"event": step.event}
        if step.condition != AllOf(()):
            form["filter"] = _condition(step.condition, clock)
        steps.append(form | ({"name": step.name} if step.name else {}))
    window = query.funnel.window
    return {
        "steps": steps,
        "window": {"value": window.value, "unit": window.unit},
        "order": query.funnel.order,
        "countBy": query.funnel.count_by,
    }


def _condition(condition: Condition, clock: Clock) -> dict[str, Any]:
    match condition:
        case AllOf(parts):
            return {"and": [_condition(part, clock) for part in parts]}
        case AnyOf(parts):
            return {"or": [_condition(part, clock) for part in parts]}
        case Not(part):
            return {"not": _condition(part, clock)}
        case Leaf(key, op, None):
            return {"key": key.name, "op": op}
        case Leaf(key, op, tuple() as values):
            return {"key": key.name, "op": op, "value": [_scalar(value, clock) for value in values]}
        case Leaf(key, op, value):
            return {"key": key.name, "op": op, "value": _scalar(value, clock)}


def _scalar(value: Any, clock: Clock) -> Any:
    if isinstance(value, Moment):
        return clock.text(value.ms)
    # Whole numbers of more bits came as floats. Those of 64 stay: two of them are one float, but not one question.
    return float(value) if type(value) is int and not -(2**63) <= value < 2**64 else value


def meta_of(query: Query, project: str, now_ms: int) -> dict[str, Any]:
    """The part that depends on the query and the moment alone."""
    clock, period = query.clock, query.period
    meta: dict[str, Any] = {"query": normal_form(query, project), "timezone": clock.name}
    if query.buckets:
        meta["interval"] = query.buckets.interval
    meta |= {"from": clock.text(period.start), "to": clock.text(period.end)}
    incomplete = incomplete_from(query, now_ms)
    if incomplete is not None:
        meta["incompleteFrom"] = clock.text(incomplete)
    return meta


def touches_now(query: Query, now_ms: int) -> bool:
    """Whether events that happen now, or later, may change the answer."""
    window = query.funnel.window.ms if query.funnel else 0
    ends = [period.end + window for period in (query.period, query.compared) if period]
    return max(ends) > now_ms


def incomplete_from(query: Query, now_ms: int) -> int | None:
    """From when the period is not over: the start of the bucket that holds the present, of a funnel the first entry
    whose window is still open."""
    period = query.period
    window = query.funnel.window.ms if query.funnel else 0
    if period.end + window <= now_ms:
        return None
    since = max(period.start, now_ms - window)
    return max(period.start, bucket_of(since, query.buckets.starts)) if query.buckets else since


CACHE_BYTES = 64 * 1024 * 1024
FRESH_SECONDS, SETTLED_SECONDS = 30.0, 600.0


@dataclass(frozen=True, slots=True)
class Asker:
    """For which project a query is, and under which id of a request."""

    project_id: str
    slug: str
    time_zone: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`results` is a JSON array."""

    type: str
    results: bytes
    meta: dict[str, Any]

    def json(self) -> bytes:
        return orjson.dumps({"type": self.type, "results": orjson.Fragment(self.results), "meta": self.meta})


class Queries:
    """Over one store. `clock` is monotonic seconds, `now_ms` the time of day. `most_memory` is what one statement may
    take of the store, in bytes; None: what the store lets it."""

    def __init__(
        self,
        store: Rows,
        table: str,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        cache_bytes: int = CACHE_BYTES,
        most_memory: int | None = None,
    ) -> None:
        self._store = store
        self._table = table
        self._clock = clock
        self._now_ms = now_ms
        self._most_memory = most_memory
        self._cache = Cache(cache_bytes, clock)
        self._at_once = ConcurrencyLimit()
        self._forgotten: Counter[str] = Counter()

    async def answer(self, request: object, asker: Asker) -> Answer:
        """Raises QueryInvalid, QueryOverLimit, TooManyQueries, QueryTimeout, StoreDown."""
        began = self._clock()
        query = parse_query(request, asker.time_zone)
        normal = orjson.dumps(normal_form(query, asker.project_id))
        kept = None if query.refresh else self._cache.get(asker.project_id, normal)
        said: dict[str, Any] = {"cached": kept is not None}
        if kept:
            said["cachedAt"] = _rfc3339(kept.at_ms)
        else:
            forgotten = self._forgotten[asker.project_id]
            kept = await self._asked(query, asker)
            seconds = FRESH_SECONDS if touches_now(query, kept.at_ms) else SETTLED_SECONDS
            # It may be of what was there before.
            if forgotten == self._forgotten[asker.project_id]:
                self._cache.put(asker.project_id, normal, kept, seconds)
        said |= {"elapsedMs": round((self._clock() - began) * 1000), "requestId": asker.request_id}
        return Answer(query.type, kept.results, kept.meta | said)

    def forget(self, project_id: str) -> None:
        """Events of the project were deleted: what was answered, or is being asked, is given to nobody later."""
        self._forgotten[project_id] += 1
        self._cache.forget(project_id)

    async def _asked(self, query: Query, asker: Asker) -> Kept:
        now_ms = self._now_ms()
        with self._at_once.one(asker.project_id):
            store = LimitedStore(self._store, self._clock, self._most_memory)
            await _check_patterns(query, store)
            found = await answered(query, Scope(self._table, asker.project_id, query), store)
        meta = meta_of(query, asker.slug, now_ms) | {"truncated": found.truncated, "sampled": found.sampled}
        if found.notes:
            meta["notes"] = found.notes
        return Kept(encode_json(found.results), meta, now_ms)


def encode_json(results: object) -> bytes:
    """JSON, with integers of any size."""
    try:
        return orjson.dumps(results)
    except TypeError:
        # It takes no integers of more than 64 bits.
        return json.dumps(results, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def _check_patterns(query: Query, store: LimitedStore) -> None:
    """Where there are no events the engine would not look at a pattern, and a wrong one be taken for a right one."""
    faults = Faults()
    for path, pattern in _patterns(query):
        with faults:
            try:
                await store.query("SELECT match('', {pattern:String})", {"pattern": f"(?-s){pattern}"})
            except PatternInvalid as error:
                raise invalid(path, f"is no regular expression in RE2's syntax: {error}", "invalid_regex") from None
    faults.tell()


def _patterns(query: Query) -> Iterator[tuple[str, str]]:
    conditions = [("filter", query.condition)]
    if query.funnel:
        conditions += [(f"steps[{i}].filter", step.condition) for i, step in enumerate(query.funnel.steps)]
    for path, condition in conditions:
        for leaf in leaves(condition):
            if leaf.op == "regex":
                yield path, str(leaf.value)


def _rfc3339(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
