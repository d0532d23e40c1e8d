"""Live: events as they come, refused requests with their reason, and where one event is."""

from typing import Any

import orjson

from headgate_gateway.app_api.delivery import SEARCH_EVENTS
from headgate_gateway.web.page import Answer, Here, View

LAST = 100


async def live(here: Here) -> Answer:
    """The page; its script listens to the app API."""
    text = here.visit.query("q").strip()
    found: dict[str, Any] | None = None
    if text:
        answer = await here.visit.ask(SEARCH_EVENTS, here.path, {"text": text})
        found = orjson.loads(orjson.dumps(answer))
    return View(
        "live.html",
        {
            "page": "live",
            "stream": f"/api/projects/{here.slug}/events?last={LAST}&refused=true",
            "text": text,
            "found": found,
            "base_url": here.visit.base_url,
        },
    )
