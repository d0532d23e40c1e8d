"""Flask and redis-py, tuned: pydantic reads the raw body, and one script checks, counts and appends one entry."""

import orjson
from flask import Flask, Response, request
from pydantic import ValidationError
from redis import Redis

from bench.peers import limits
from bench.peers.event import EVENTS, Event

redis = Redis(unix_socket_path=limits.SOCKET)
admit = redis.register_script(limits.ADMIT)
app = Flask(__name__)


def answer(status: int, content: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, content_type="application/json")


@app.post("/")
def ingest() -> Response:
    if not request.headers.get("X-API-Key"):
        return answer(401, {"error": "no key"})
    body = request.get_data(cache=False)
    try:
        sent = EVENTS.validate_json(body)
    except ValidationError as error:
        return answer(422, {"error": error.errors(include_url=False, include_input=False)})
    events = 1 if isinstance(sent, Event) else len(sent)
    admitted, rate_used, month_used, entry = admit(
        limits.names(), (limits.RATE, limits.WINDOW_SECONDS, limits.MONTHLY, events, body)
    )
    headers = limits.headers(rate_used, month_used)
    if not admitted:
        return answer(429, {"error": "limit exceeded"}, headers)
    return answer(200, {"success": True, "accepted": events, "last": entry.decode()}, headers)
