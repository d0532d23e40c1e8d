"""FastAPI and redis-py, tuned: pydantic reads the raw body, and one script checks, counts and appends one entry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from redis.asyncio import Redis

from bench.peers import limits
from bench.peers.event import EVENTS, Event

# One connection for each request that may be under way: the default pool fails beyond 100.
redis = Redis(unix_socket_path=limits.SOCKET, max_connections=1000)
admit = redis.register_script(limits.ADMIT)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await redis.aclose()


app = FastAPI(lifespan=lifespan)


def answer(status: int, content: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


@app.post("/")
async def ingest(request: Request) -> Response:
    if not request.headers.get("x-api-key"):
        return answer(401, {"error": "no key"})
    body = await request.body()
    try:
        sent = EVENTS.validate_json(body)
    except ValidationError as error:
        return answer(422, {"error": error.errors(include_url=False, include_input=False)})
    events = 1 if isinstance(sent, Event) else len(sent)
    admitted, rate_used, month_used, entry = await admit(
        limits.names(), (limits.RATE, limits.WINDOW_SECONDS, limits.MONTHLY, events, body)
    )
    headers = limits.headers(rate_used, month_used)
    if not admitted:
        return answer(429, {"error": "limit exceeded"}, headers)
    return answer(200, {"success": True, "accepted": events, "last": entry.decode()}, headers)
