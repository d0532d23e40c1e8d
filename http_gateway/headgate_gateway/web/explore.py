"""Explore: questions about a project's events, each an address that can be shared."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from headgate.v1 import query_service_pb2 as wire

from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.query import GET_SCHEMA, QUERY
from headgate_gateway.web import query_form as form
from headgate_gateway.web.page import Answer, Download, Here, View
from headgate_gateway.web.plot import named, plot_of

_CSV = replace(
    QUERY,
    request=lambda asked: wire.QueryRequest(request_json=orjson.dumps(dict(asked.body)), csv=True),
    answer=lambda answer: {"csv": answer.csv},
)
_SUGGESTED = 200


async def explore(here: Here) -> Answer:
    """The form, and where something was asked its answer."""
    query = _query(here)
    asked = bool(here.visit.req.params)
    answer, events = await asyncio.gather(_answer(here, query) if asked else _nothing(), _events(here))
    found, failure = answer
    return View(
        "explore.html",
        {
            "page": "explore",
            "form": form,
            "given": here.visit.query,
            "query": query,
            "answer": found,
            "plot": plot_of(found) if found and query["type"] == "timeseries" else None,
            "named": named,
            "most": max((row["value"] or 0 for row in found["results"]), default=0)
            if found and query["type"] == "breakdown"
            else 0,
            "failure": failure,
            "events": events,
            "keys": sorted({one["key"] for event in events for one in event["properties"]})[:_SUGGESTED],
            "csv": f"{here.url('explore')}.csv?{urlencode(_single(here))}",
            "link": f"{here.visit.base_url}{here.url('explore')}?{urlencode(_single(here))}",
        },
    )


async def csv(here: Here) -> Answer:
    """The answer as a file."""
    answer = await here.visit.ask(_CSV, body=_query(here))
    return Download(answer["csv"].encode(), "text/csv; charset=utf-8", f"{here.slug}.csv")


def _query(here: Here) -> dict[str, Any]:
    return form.query_of(here.visit.query, here.slug, here.project["timezone"], datetime.now(UTC))


def _single(here: Here) -> dict[str, str]:
    return {name: text for name in here.visit.req.params if (text := here.visit.query(name))}


async def _answer(here: Here, query: Mapping[str, Any]) -> tuple[dict[str, Any] | None, Failure | None]:
    try:
        return await here.visit.ask(QUERY, body=query), None
    except Failure as failure:
        if failure.status in (401, 404):
            raise
        return None, failure


async def _nothing() -> tuple[None, None]:
    return None, None


async def _events(here: Here) -> list[dict[str, Any]]:
    """What there is to ask about; nothing where no store tells."""
    try:
        found = await here.visit.ask(GET_SCHEMA, here.path)
    except Failure:
        return []
    events: list[dict[str, Any]] = found["events"]
    return events
