"""Answers queries: parsed, looked up among the answers that are kept, or asked of the store."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from headgate_service.errors import invalid
from headgate_service.query.answer import answered
from headgate_service.query.at_once import AtOnce
from headgate_service.query.event_schema import SchemaScope, schema_of
from headgate_service.query.filter import leaves
from headgate_service.query.group_sql import Scope
from headgate_service.query.kept_answers import Cache, Kept
from headgate_service.query.limited_store import LimitedStore, PatternInvalid, Rows
from headgate_service.query.normal_form import normal_form
from headgate_service.query.query import Query, parse_query
from headgate_service.query.request_fields import Faults
from headgate_service.query.time import bucket_of


def meta_of(query: Query, form: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """The part that depends on the query, of which `form` is the normal form, and the moment alone."""
    clock, period = query.clock, query.period
    meta: dict[str, Any] = {"query": form, "timezone": clock.name}
    if steps := query.buckets or query.retention:
        meta["interval"] = steps.interval
    meta |= {"from": clock.text(period.start), "to": clock.text(period.end)}
    incomplete = incomplete_from(query, now_ms)
    if incomplete is not None:
        meta["incompleteFrom"] = clock.text(incomplete)
    return meta


def _window_ms(query: Query) -> int:
    """How long after the period events may still count."""
    if query.funnel:
        return query.funnel.window.ms
    return query.paths.window.ms if query.paths and query.paths.forward else 0


def touches_now(query: Query, now_ms: int) -> bool:
    """Whether events that happen now, or later, may change the answer."""
    window = _window_ms(query)
    ends = [period.end + window for period in (query.period, query.compared) if period]
    return max([*ends, query.retention.end if query.retention else 0]) > now_ms


def incomplete_from(query: Query, now_ms: int) -> int | None:
    """From when the period is not over: the start of the bucket that holds the present, of a funnel the first entry
    whose window is still open."""
    period, retention = query.period, query.retention
    if retention:
        # The first cohort that has a period yet to end.
        ends = zip(retention.cohorts, retention.starts[retention.periods + 1 :], strict=False)
        return next((max(start, period.start) for start, end in ends if end > now_ms), None)
    window = _window_ms(query)
    if period.end + window <= now_ms:
        return None
    since = max(period.start, now_ms - window)
    return max(period.start, bucket_of(since, query.buckets.starts)) if query.buckets else since


CACHE_BYTES = 64 * 1024 * 1024
_DAY_MS = 86_400_000
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
        at_once: AtOnce | None = None,
        cache_bytes: int = CACHE_BYTES,
        most_memory: int | None = None,
    ) -> None:
        self._store = store
        self._table = table
        self._clock = clock
        self._now_ms = now_ms
        self._most_memory = most_memory
        self._cache = Cache(cache_bytes, clock)
        self._at_once = at_once or AtOnce()
        self._forgotten: Counter[str] = Counter()

    async def answer(self, request: object, asker: Asker) -> Answer:
        """Raises QueryInvalid, QueryOverLimit, TooManyQueries, QueryTimeout, StoreDown."""
        began = self._clock()
        query = parse_query(request, asker.time_zone)
        form = normal_form(query, asker.slug)
        normal = orjson.dumps(form)
        kept = None if query.refresh else self._cache.get(asker.project_id, normal)
        said: dict[str, Any] = {"cached": kept is not None}
        if kept:
            said["cachedAt"] = _rfc3339(kept.at_ms)
        else:
            forgotten = self._forgotten[asker.project_id]
            kept = await self._asked(query, form, asker)
            seconds = FRESH_SECONDS if touches_now(query, kept.at_ms) else SETTLED_SECONDS
            # It may be of what was there before.
            if forgotten == self._forgotten[asker.project_id]:
                self._cache.put(asker.project_id, normal, kept, seconds)
        said |= {"elapsedMs": round((self._clock() - began) * 1000), "requestId": asker.request_id}
        return Answer(query.type, kept.results, kept.meta | said)

    async def event_schema(self, project_id: str, days: int, event: str | None) -> bytes:
        """Of the events of so many days, as JSON. Raises TooManyQueries, QueryTimeout, QueryOverLimit, StoreDown."""
        place = orjson.dumps(["schema", days, event])
        if kept := self._cache.get(project_id, place):
            return kept.results
        forgotten, now_ms = self._forgotten[project_id], self._now_ms()
        # The clocks of those who send may be ahead.
        scope = SchemaScope(self._table, project_id, now_ms - days * _DAY_MS, now_ms + _DAY_MS, event)
        async with self._at_once.one(project_id):
            schema = await schema_of(scope, LimitedStore(self._store, self._clock, self._most_memory))
        kept = Kept(orjson.dumps({"days": days, **schema}), {}, now_ms)
        if forgotten == self._forgotten[project_id]:
            self._cache.put(project_id, place, kept, FRESH_SECONDS)
        return kept.results

    def forget(self, project_id: str) -> None:
        """Events of the project were deleted: what was answered, or is being asked, is given to nobody later."""
        self._forgotten[project_id] += 1
        self._cache.forget(project_id)

    async def _asked(self, query: Query, form: dict[str, Any], asker: Asker) -> Kept:
        now_ms = self._now_ms()
        async with self._at_once.one(asker.project_id):
            store = LimitedStore(self._store, self._clock, self._most_memory)
            await _check_patterns(query, store)
            found = await answered(query, Scope(self._table, asker.project_id, query), store)
        meta = meta_of(query, form, now_ms) | {"truncated": found.truncated, "sampled": found.sampled}
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
                raise invalid(path, f"is not a valid RE2 regular expression: {error}", "invalid_regex") from None
    faults.tell()


def _patterns(query: Query) -> Iterator[tuple[str, str]]:
    conditions = [("filter", query.condition)]
    if query.funnel:
        conditions += [(f"steps[{i}].filter", step.condition) for i, step in enumerate(query.funnel.steps)]
    if query.paths:
        side = "start" if query.paths.forward else "end"
        conditions.append((f"{side}.filter", query.paths.anchor.condition))
    for path, condition in conditions:
        for leaf in leaves(condition):
            if leaf.op == "regex":
                yield path, str(leaf.value)


def _rfc3339(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
