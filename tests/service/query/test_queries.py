"""Answers as a whole: what they say of themselves, what is kept of them, and how the store's failures show."""

import asyncio
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from conftest import Filled
from headgate_service.errors import QueryInvalid, QueryOverLimit, QueryTimeout, StoreDown, TooManyQueries
from headgate_service.query.csv_text import csv_text
from headgate_service.query.queries import Answer, Asker, Queries
from headgate_service.store.client import QueryTooLarge, QueryTooSlow, StoreUnavailable
from reference import Happened

NOON = 1_770_033_600_000  # 2026-02-02T12:00:00Z
HOUR = 3_600_000
DATES = {"start": "2026-02-01", "end": "2026-02-02"}
METRIC: dict[str, Any] = {"type": "metric", "projectId": "shop", "event": "*", "dateRange": DATES}
FUNNEL = {
    "type": "funnel",
    "projectId": "shop",
    "dateRange": DATES,
    "steps": [{"event": "view"}, {"event": "buy", "name": "Bought"}],
    "window": {"value": 1, "unit": "day"},
}
EVENTS = [
    Happened(NOON - 30 * HOUR, "view", "ann", properties={"plan": "pro"}),
    Happened(NOON - 20 * HOUR, "buy", "ann", properties={"plan": "=cmd"}),
    Happened(NOON - 2 * HOUR, "view", "bob"),
]


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Counting:
    """Counts what is asked of a store, and fails instead where it is told to."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.asked = 0
        self.settings: Mapping[str, str] = {}
        self.fails: Exception | None = None
        self.held: asyncio.Event | None = None

    async def query(
        self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, str] | None = None
    ) -> Sequence[Sequence[Any]]:
        self.asked += 1
        self.settings = settings or {}
        if self.fails:
            raise self.fails
        if self.held:
            await self.held.wait()
        rows: Sequence[Sequence[Any]] = await self._rows.query(sql, parameters, settings)
        return rows


class Asking:
    def __init__(self, filled: Filled, now_ms: int = NOON, cache_bytes: int = 1_000_000) -> None:
        self.store = Counting(filled.rows)
        self.clock = Clock()
        self.project = filled.project(EVENTS)
        self.queries = Queries(
            self.store, filled.table, clock=self.clock, now_ms=lambda: now_ms, cache_bytes=cache_bytes
        )
        self.run = filled.run

    def one(self, request: dict[str, Any], project: str | None = None) -> Answer:
        asker = Asker(project or self.project, "shop", "Europe/Berlin", "r1")
        return self.run(self.queries.answer(request, asker))

    def meta(self, request: dict[str, Any]) -> dict[str, Any]:
        return dict(self.one(request).meta)


@pytest.fixture
def asking(filled: Filled) -> Callable[..., Asking]:
    return lambda **changes: Asking(filled, **changes)


def test_an_answer(asking):
    answer = orjson.loads(asking().one(METRIC | {"type": "timeseries"}).json())
    elapsed = answer["meta"].pop("elapsedMs")
    assert isinstance(elapsed, int)
    assert answer["results"][0]["total"] == 3
    assert answer == {
        "type": "timeseries",
        "results": answer["results"],
        "meta": {
            "query": {
                "type": "timeseries",
                "projectId": "shop",
                "event": "*",
                "dateRange": {
                    "start": "2026-02-01T00:00:00+01:00",
                    "end": "2026-02-03T00:00:00+01:00",
                    "timezone": "Europe/Berlin",
                },
                "interval": "hour",
                "metric": "count",
                "includeTest": False,
            },
            "timezone": "Europe/Berlin",
            "interval": "hour",
            "from": "2026-02-01T00:00:00+01:00",
            "to": "2026-02-03T00:00:00+01:00",
            "cached": False,
            "incompleteFrom": "2026-02-02T13:00:00+01:00",
            "truncated": False,
            "sampled": False,
            "requestId": "r1",
        },
    }


def test_when_a_period_is_not_over(asking):
    over = asking(now_ms=NOON + 12 * HOUR)
    assert "incompleteFrom" not in over.meta(METRIC)
    # A way may still be completed on the day after.
    assert over.meta(FUNNEL)["incompleteFrom"] == "2026-02-02T01:00:00+01:00"
    assert "incompleteFrom" not in asking(now_ms=NOON + 36 * HOUR).meta(FUNNEL)
    # All of it lies ahead.
    assert asking(now_ms=NOON - 100 * HOUR).meta(METRIC)["incompleteFrom"] == "2026-02-01T00:00:00+01:00"


@pytest.mark.parametrize(("now_ms", "seconds"), [(NOON, 30), (NOON + 24 * HOUR, 600)])
def test_answers_are_kept(asking, now_ms, seconds):
    asked = asking(now_ms=now_ms)
    first = asked.one(METRIC)
    asked.clock.seconds += seconds - 1
    again = asked.one(METRIC | {"metric": "count", "filter": []})
    assert (first.meta["cached"], again.meta["cached"], asked.store.asked) == (False, True, 1)
    assert again.meta["cachedAt"].startswith("2026-02-0")
    assert again.results == first.results
    asked.clock.seconds += 2
    assert "cachedAt" not in asked.meta(METRIC)
    assert asked.store.asked == 2


def test_answers_do_not_outlive_what_was_deleted(asking):
    asked = asking()
    asked.one(METRIC)
    asked.one(METRIC, project="another")
    asked.queries.forget(asked.project)
    assert not asked.meta(METRIC)["cached"]
    assert asked.one(METRIC, project="another").meta["cached"]

    async def deleted_meanwhile() -> None:
        asked.store.held = asyncio.Event()
        asking = asyncio.create_task(
            asked.queries.answer(METRIC | {"refresh": True}, Asker(asked.project, "shop", "Europe/Berlin", "r1"))
        )
        await asyncio.sleep(0)
        asked.queries.forget(asked.project)
        asked.store.held.set()
        await asking

    asked.run(deleted_meanwhile())
    assert not asked.meta(METRIC)["cached"]


def test_what_is_not_the_same_is_asked(asking):
    asked = asking()
    asked.one(METRIC)
    assert not asked.meta(METRIC | {"refresh": True})["cached"]
    assert not asked.meta(METRIC | {"includeTest": True})["cached"]
    assert not asked.one(METRIC, project="another").meta["cached"]
    # What was refreshed is kept again.
    assert asked.meta(METRIC)["cached"]


def test_the_cache_is_bounded(asking):
    asked = asking(cache_bytes=6_000)
    for name in "abcdef":
        asked.one(METRIC | {"event": name})
    assert asked.meta(METRIC | {"event": "f"})["cached"]
    assert not asked.meta(METRIC | {"event": "a"})["cached"]


def test_at_most_five_at_once(asking):
    asked = asking()

    async def all_at_once() -> list[Any]:
        asked.store.held = asyncio.Event()
        asker = Asker(asked.project, "shop", "UTC", "r")
        queries = [asked.queries.answer(METRIC | {"event": name}, asker) for name in "abcdef"]
        other = asked.queries.answer(METRIC, Asker("other", "other", "UTC", "r"))
        running = asyncio.gather(*queries, other, return_exceptions=True)
        while asked.store.asked < 6:
            await asyncio.sleep(0)
        asked.store.held.set()
        return await running

    outcomes = asked.run(all_at_once())
    assert [isinstance(outcome, TooManyQueries) for outcome in outcomes] == [False] * 5 + [True, False]
    # Whoever has ended makes room, whether or not it went well.
    asked.store.fails = StoreUnavailable("")
    for _ in range(6):
        with pytest.raises(StoreDown):
            asked.one(METRIC | {"refresh": True})


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (StoreUnavailable("x"), StoreDown),
        (QueryTooSlow("x"), QueryTimeout),
        (QueryTooLarge("x"), QueryOverLimit),
    ],
)
def test_the_stores_failures(asking, failure, raised):
    asked = asking()
    asked.store.fails = failure
    with pytest.raises(raised, match=r"^(?!x)"):
        asked.one(METRIC)
    asked.store.fails = None
    assert not asked.meta(METRIC)["cached"]


def test_the_engine_is_given_the_limits(asking):
    asked = asking()
    asked.one(METRIC)
    assert asked.store.settings["max_execution_time"] == "10"
    assert {"max_rows_to_read", "max_result_rows"} < asked.store.settings.keys()
    assert "max_memory_usage" not in asked.store.settings


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", r"(?=x)", r"\1", "[z-a]", "*"])
@pytest.mark.parametrize("where", ["filter", "step"])
def test_patterns_are_re2s(asking, pattern, where):
    leaf = {"key": "plan", "op": "regex", "value": pattern}
    request = METRIC | {"filter": [leaf], "event": "no such"}
    if where == "step":
        request = FUNNEL | {"steps": [{"event": "a"}, {"event": "b", "filter": leaf}]}
    with pytest.raises(QueryInvalid) as refused:
        asking().one(request)
    assert refused.value.reason == "invalid_regex"
    assert refused.value.field == ("filter" if where == "filter" else "steps[1].filter")


def test_csv(asking):
    asked = asking()

    def table(request: dict[str, Any]) -> list[str]:
        answer = asked.one(request)
        return csv_text(answer.type, orjson.loads(answer.results)).split("\r\n")

    assert table(METRIC | {"compare": "previous_period"}) == ["value,compareValue,change", "3,0,", ""]
    assert table(METRIC | {"type": "breakdown", "breakdown": "plan"}) == [
        "key,isOther,value,share,compareValue,change",
        # No spreadsheet runs what a visitor sent.
        "'=cmd,,1,0.3333333333333333,,",
        "pro,,1,0.3333333333333333,,",
        ",,1,0.3333333333333333,,",
        "",
    ]
    series = table(METRIC | {"type": "timeseries", "interval": "day", "compare": "previous_period"})
    assert series == [
        "key,isOther,period,time,value",
        ",,current,2026-02-01T00:00:00+01:00,2",
        ",,current,2026-02-02T00:00:00+01:00,1",
        ",,compare,2026-01-30T00:00:00+01:00,0",
        ",,compare,2026-01-31T00:00:00+01:00,0",
        "",
    ]
    assert table(FUNNEL) == [
        "key,isOther,period,step,event,name,count,conversion,stepConversion,dropoff,medianSeconds",
        ",,current,1,view,,2,1.0,1.0,0,",
        ",,current,2,buy,Bought,1,0.5,0.5,1,36000",
        "",
    ]
    others = METRIC | {"type": "breakdown", "breakdown": {"key": "distinct_id", "limit": 1}}
    assert table(others)[2] == "$other,true,1,0.3333333333333333,,"


def test_sampled_events_stand_for_several(filled):
    sampled = [
        Happened(NOON, "view", "ann", session_id="s1", weight=4.0, properties={"n": 1}),
        Happened(NOON, "view", "ann", session_id="s2", weight=10.0, properties={"n": 3}),
        Happened(NOON + 1, "buy", "bob", session_id="s3", weight=2.5, properties={"n": 7}),
        Happened(NOON, "view", "bob", session_id="s3", properties={"n": 9, "whole": 2**63 - 1}),
        Happened(NOON, "else", "", properties={"whole": 2**62}, weight=1.0),
    ]
    project = filled.project(sampled)
    queries = Queries(filled.rows, filled.table, clock=Clock(), now_ms=lambda: NOON)

    def value(metric: Any) -> Any:
        asker = Asker(project, "shop", "UTC", "r")
        answer = filled.run(queries.answer(METRIC | {"metric": metric}, asker))
        assert answer.meta["sampled"] is True
        return orjson.loads(answer.results)[0]["value"]

    assert value("count") == 18.5
    assert value("unique_users") == 12.5
    assert value("sessions") == 16.5
    assert value("events_per_user") == 1.4
    assert value({"agg": "sum", "property": "n"}) == 60.5
    # Of events that stand for themselves, to the last digit.
    assert value({"agg": "sum", "property": "whole"}) == 2**63 - 1 + 2**62
    # No number, wherever it may be looked for.
    assert value({"agg": "sum", "property": "distinct_id"}) == 0
    assert value({"agg": "sum", "property": "test"}) == 0
    assert value({"agg": "avg", "property": "$ip"}) is None
    assert value({"agg": "avg", "property": "n"}) == pytest.approx(60.5 / 17.5)
    assert value({"agg": "median", "property": "n"}) == 5
    assert value({"agg": "count_distinct", "property": "n"}) == 4
    asker = Asker(project, "shop", "UTC", "r")
    (funnel,) = orjson.loads(filled.run(queries.answer(FUNNEL, asker)).results)
    assert [step["count"] for step in funnel["steps"]] == [12.5, 2.5]


def test_integers_of_any_size_are_exact(filled):
    ids = [10**18 + number for number in range(30)]
    values = [Happened(NOON, "e", "u", properties={"id": value, "u": 2**64 - 1, "r": 1e20}) for value in ids]
    project = filled.project(values)
    queries = Queries(filled.rows, filled.table, clock=Clock(), now_ms=lambda: NOON)

    def ask(**changes: Any) -> Answer:
        return filled.run(queries.answer(METRIC | changes, Asker(project, "shop", "UTC", "r")))

    total = sum(ids)
    answer = ask(metric={"agg": "sum", "property": "id"}, compare="previous_period")
    assert json.loads(answer.json())["results"][0]["value"] == total > 2**64
    assert csv_text("metric", json.loads(answer.results)).split("\r\n")[1] == f"{total},0,"
    assert json.loads(ask(metric={"agg": "max", "property": "u"}).results)[0]["value"] == 2**64 - 1
    assert json.loads(ask(metric={"agg": "sum", "property": "u"}).results)[0]["value"] == 30 * (2**64 - 1)
    for agg in ("median", "p99"):
        assert json.loads(ask(metric={"agg": agg, "property": "u"}).results)[0]["value"] == pytest.approx(2**64)
    assert json.loads(ask(metric={"agg": "max", "property": "r"}).results)[0]["value"] == 1e20
    series = ask(type="timeseries", metric={"agg": "sum", "property": "id"}, breakdown="r")
    assert json.loads(series.results)[0] | {"data": []} == {"key": 1e20, "total": total, "data": []}


def test_what_is_not_finite_is_null_and_noted(filled):
    values = [Happened(NOON, "e", plan, properties={"x": x}) for plan, x in (("a", 1e308), ("a", 1e308), ("b", 5))]
    project = filled.project(values)
    queries = Queries(filled.rows, filled.table, clock=Clock(), now_ms=lambda: NOON)

    def ask(**changes: Any) -> dict[str, Any]:
        answer = filled.run(queries.answer(METRIC | changes, Asker(project, "shop", "UTC", "r")))
        found: dict[str, Any] = orjson.loads(answer.json())
        return found

    for agg in ("sum", "avg"):
        answer = ask(metric={"agg": agg, "property": "x"})
        assert answer["results"] == [{"value": None}]
        assert answer["meta"]["notes"] == [
            {"path": "results[0].value", "message": "null because the result is too large for a 64-bit float"}
        ]
    groups = ask(type="breakdown", breakdown="distinct_id", metric={"agg": "sum", "property": "x"})
    assert [(row["key"], row["value"]) for row in groups["results"]] == [("b", 5), ("a", None)]
    series = ask(type="timeseries", interval="day", metric={"agg": "sum", "property": "x"})
    assert [series["results"][0]["total"], *(bar["value"] for bar in series["results"][0]["data"])] == [None, 0, None]
    assert [note["path"] for note in series["meta"]["notes"]] == ["results[0].total", "results[0].data[1].value"]
    assert "notes" not in ask(metric={"agg": "max", "property": "x"})["meta"]


@pytest.mark.parametrize("formula", ["=1", " =1", "\n+1", "\t@x", "\r-1", "\ufeff=1", "\t1"])
def test_no_spreadsheet_runs_a_text(formula):
    table = csv_text("breakdown", [{"key": formula, "value": 1}])
    assert next(csv.reader(io.StringIO(table.partition("\r\n")[2], newline="")))[0] == f"'{formula}"
