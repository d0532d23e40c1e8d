"""Rows of queries: through POST /api/query, as the same statements sent to the store, and as SQL written by hand."""

import asyncio
import http.client
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headgate_service.query.answer import answered
from headgate_service.query.group_sql import Scope
from headgate_service.query.query import parse_query
from headgate_service.store.client import Store
from headgate_service.store.schema import TABLE

from bench.headgate_up import STORE, HeadgateUp
from bench.row import Figures, Row, Void
from bench.stage import Stage
from bench.stored_events import FIRST_DAY, LAST_DAY, fill_store, store_of

# Of each the median; they take turns.
_TIMES = 5
_OWN = f"FROM {TABLE} WHERE project_id = '{{project}}' AND NOT test"
_STEPS = "event = '$pageview', event = 'signup_started', event = 'signup_completed'"
_FUNNEL = [{"event": "$pageview"}, {"event": "signup_started"}, {"event": "signup_completed"}]


@dataclass(frozen=True)
class Question:
    name: str
    title: str
    asked: Mapping[str, Any]
    by_hand: str


QUESTIONS = (
    Question(
        "series",
        "daily series, one filter on a property",
        {
            "type": "timeseries",
            "event": "$pageview",
            "interval": "day",
            "filter": {"key": "$pathname", "op": "eq", "value": "/pricing"},
        },
        f"SELECT toStartOfDay(ts) AS day, count() {_OWN} AND event = '$pageview'"
        " AND properties.`$pathname`.:String = '/pricing' GROUP BY day",
    ),
    Question(
        "top-typed",
        "top 10 of a typed path",
        {"type": "breakdown", "event": "*", "breakdown": "event"},
        f"SELECT event, count() AS n {_OWN} GROUP BY event ORDER BY n DESC LIMIT 10",
    ),
    Question(
        "top-any",
        "top 10 of any path",
        {"type": "breakdown", "event": "*", "breakdown": "country"},
        f"SELECT properties.country.:String AS country, count() AS n {_OWN} GROUP BY country ORDER BY n DESC LIMIT 10",
    ),
    Question(
        "top-numbers",
        "top 10 of any path that holds numbers",
        {"type": "breakdown", "event": "*", "breakdown": "items"},
        f"SELECT properties.items.:Int64 AS items, count() AS n {_OWN} GROUP BY items ORDER BY n DESC LIMIT 10",
    ),
    Question(
        "users",
        "unique users, exactly",
        {"type": "metric", "event": "*", "metric": "unique_users"},
        f"SELECT uniqExact(distinct_id) {_OWN}",
    ),
    Question(
        "funnel",
        "funnel of 3 steps in 7 days",
        {"type": "funnel", "steps": _FUNNEL},
        "SELECT level, count() FROM (SELECT windowFunnel(604800000, 'strict_increase')("  # noqa: S608 - constants
        f"toUInt64(toUnixTimestamp64Milli(ts)), {_STEPS}) AS level {_OWN}"
        " AND event IN ('$pageview', 'signup_started', 'signup_completed') GROUP BY distinct_id) GROUP BY level",
    ),
)


def rows(stage: Stage, events: int) -> list[Row]:
    return [
        *(
            Row("query", one.name, f"{one.title}, {events:,} events", partial(_measure, stage, events, one))
            for one in QUESTIONS
        ),
        Row("query", "nothing", "a metric over a day without events", partial(_measure, stage, events, _NOTHING)),
    ]


_NOTHING = Question(
    "nothing",
    "",
    {"type": "metric", "event": "*", "dateRange": {"start": "2025-01-01", "end": "2025-01-01"}},
    f"SELECT count() {_OWN} AND ts < toDateTime64('2025-01-02', 3)",
)


class FilledUp:
    """A Headgate whose store holds events of the project `default`, and the session of its owner."""

    def __init__(self, stage: Stage, events: int) -> None:
        self.up = HeadgateUp(stage.cores, STORE)
        try:
            self.project_id = self.up.default_project().id
            fill_store(self.up, self.project_id, events)
            self.connection = http.client.HTTPConnection(self.up.host, self.up.port, timeout=60)
            self.cookie = self._cookie()
        except BaseException:
            self.up.stop()
            raise

    def stop(self) -> None:
        self.up.stop()

    def asked(self, question: Question) -> Mapping[str, Any]:
        """The request that asks it of all days."""
        dates = {"start": FIRST_DAY, "end": LAST_DAY}
        return {"projectId": self.project_id, "dateRange": dates, "refresh": True, **question.asked}

    def ask(self, question: Mapping[str, Any]) -> float:
        """The seconds that the answer took."""
        began = time.perf_counter()
        status, body = self._post("/api/query", question, {"Cookie": self.cookie})
        if status != 200:
            raise Void(f"{status}: {body[:300]!r}")
        return time.perf_counter() - began

    def _cookie(self) -> str:
        owner = json.loads((self.up.data / "first-start.json").read_text())["owner"]
        self.connection.request("POST", "/api/auth/login", json.dumps(owner), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        return (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def filled_up(stage: Stage, events: int) -> FilledUp:
    """The one of all rows."""
    return stage.running("filled", FilledUp, lambda: FilledUp(stage, events))


@dataclass
class Noted:
    """Notes the statements that a query makes, and how long each takes."""

    store: Store
    seconds: float = 0.0
    sent: list[str] = field(default_factory=list)

    async def query(self, sql: str, parameters: Mapping[str, Any], settings: Any = None) -> Sequence[Sequence[Any]]:
        self.sent.append(sql)
        began = time.perf_counter()
        answer = await self.store.query(sql, parameters, settings)
        self.seconds += time.perf_counter() - began
        return answer


def _measure(stage: Stage, events: int, question: Question) -> Figures:
    filled = filled_up(stage, events)
    asked = filled.asked(question)
    query = parse_query(asked, "UTC")

    async def taken() -> tuple[list[float], list[float], list[float], int]:
        through, alone, by_hand, count = [], [], [], 0
        async with store_of(filled.up) as store:
            for _ in range(_TIMES):
                through.append(await asyncio.to_thread(filled.ask, asked))
                noted = Noted(store)
                await answered(query, Scope(TABLE, filled.project_id, query), noted)
                alone.append(noted.seconds)
                count = len(noted.sent)
                began = time.perf_counter()
                await store.query(question.by_hand.format(project=filled.project_id))
                by_hand.append(time.perf_counter() - began)
        return through, alone, by_hand, count

    through, alone, by_hand, count = asyncio.run(taken())
    return {
        "API ms": statistics.median(through) * 1000,
        "its statements alone ms": statistics.median(alone) * 1000,
        "statements": count,
        "SQL by hand ms": statistics.median(by_hand) * 1000,
    }
