"""The requests of the four APIs, as their clients usually send them."""

import json
from dataclasses import dataclass

PROPERTIES = {"plan": "pro", "source": "pricing_page", "amount": 12.5, "items": 3, "path": "/pricing", "ab": True}


@dataclass(frozen=True)
class Body:
    """An API's path, the header that bears its key (None: it takes none), a body, and how many events it holds."""

    path: str
    key_header: str | None
    text: str
    events: int


def realanalytics(events: int) -> Body:
    sent = [
        {
            "event": "signup_completed",
            "timestamp": f"2026-02-03T15:30:{index % 60:02d}.{index * 7 % 1000:03d}Z",
            "distinctId": f"user_{index}_0000000000",
            "sessionId": f"session_{index * 7919 % 9973}",
            "properties": PROPERTIES,
        }
        for index in range(events)
    ]
    return Body("/", "X-API-Key", json.dumps(sent[0] if events == 1 else sent), events)


def xaiku(events: int) -> Body:
    sent = [
        {
            "eventName": "click",
            "experimentId": "exp_1",
            "sessionId": f"s_{index}_0000000000",
            "pathname": f"/landing/{index}",
        }
        for index in range(events)
    ]
    return Body("/api/v1/analytics", "X-public-key", json.dumps({"events": sent}), events)


def codcompass(events: int) -> Body:
    sent = [
        {"type": "page_view", "payload": PROPERTIES, "userId": f"user_{index}_0000000000"} for index in range(events)
    ]
    return Body("/api/analytics", None, json.dumps({"events": sent}), events)


def prompting_company() -> Body:
    sent = {
        "event": "page_visit",
        "eventId": "visit-0000000000",
        "page": {"href": "https://example.com/pricing?plan=pro", "pathname": "/pricing", "title": "Pricing"},
        "sdk": {"name": "server", "version": "1.2.3"},
        "properties": PROPERTIES,
    }
    return Body("/api/v1/analytics/events", "x-api-key", json.dumps(sent), 1)
