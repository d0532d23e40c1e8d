"""FastAPI and redis-py: two pipelines a request, an entry of the stream per event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Header, HTTPException, Response
from redis.asyncio import Redis

from bench.peers import limits
from bench.peers.event import Event, Events

# One connection for each request that may be under way: the default pool fails beyond 100.
redis = Redis(unix_socket_path=limits.SOCKET, max_connections=1000)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/")
async def ingest(
    sent: Annotated[Events, Body()], response: Response, x_api_key: Annotated[str | None, Header()] = None
) -> dict[str, object]:
    if not x_api_key:
        raise HTTPException(401, "no key")
    events = [sent] if isinstance(sent, Event) else sent
    rate, month, stream = limits.names()
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.set(rate, 0, ex=limits.WINDOW_SECONDS, nx=True)
        pipeline.incr(rate)
        pipeline.incrby(month, len(events))
        _, rate_used, month_used = await pipeline.execute()
    if rate_used > limits.RATE or month_used > limits.MONTHLY:
        raise HTTPException(429, "limit exceeded")
    async with redis.pipeline(transaction=True) as pipeline:
        for event in events:
            pipeline.xadd(stream, {"event": event.model_dump_json()})
        ids = await pipeline.execute()
    response.headers.update(limits.headers(rate_used, month_used))
    return {"success": True, "accepted": len(events), "last": ids[-1].decode()}
