"""Docs: a command for each API, to copy, with this Headgate's own address."""

from headgate_gateway.web.page import Answer, Here, View


async def docs(here: Here) -> Answer:
    """The page."""
    url = here.visit.base_url
    json = "-H 'Content-Type: application/json'"
    snippets = [
        (
            "RealAnalytics",
            "A public key in the header. All or nothing.",
            f"curl {url}/ -H 'X-API-Key: pk_live_...' {json} \\\n"
            '  -d \'{"event": "signup", "timestamp": "2026-02-01T12:00:00Z", "distinctId": "u1", "sessionId": "s1", '
            '"properties": {"plan": "pro"}}\'',
        ),
        (
            "Codcompass",
            "No key: the operator says which project it goes to, as a rule `default`.",
            f'curl {url}/api/analytics {json} \\\n  -d \'{{"events": [{{"type": "page_view", "userId": "u1"}}]}}\'',
        ),
        (
            "Xaiku",
            "A public key in the header, or `pkey` in the body.",
            f"curl {url}/api/v1/analytics -H 'X-public-key: pk_live_...' {json} \\\n"
            '  -d \'{"events": [{"eventName": "click", "experimentId": "exp_1", "sessionId": "s1"}]}\'',
        ),
        (
            "The Prompting Company",
            "An organisation key, or a bearer token.",
            f"curl {url}/api/v1/analytics/events -H 'x-api-key: org_live_...' {json} \\\n"
            '  -d \'{"event": "page_visit", "page": {"href": "https://example.com/"}}\'',
        ),
        (
            "Ask about events",
            "With your session, or a token of the command line.",
            f"curl {url}/api/query -H 'Authorization: Bearer ...' {json} \\\n"
            f'  -d \'{{"type": "metric", "projectId": "{here.slug}", "event": "*", '
            '"dateRange": {"start": "2026-02-01", "end": "2026-02-28"}}\'',
        ),
    ]
    return View("docs.html", {"page": "docs", "snippets": snippets, "base_url": url})
