"""Flask and redis-py: two pipelines a request, an entry of the stream per event."""

from flask import Flask, Response, jsonify, request
from pydantic import ValidationError
from redis import Redis

from bench.peers import limits
from bench.peers.event import EVENTS, Event

redis = Redis(unix_socket_path=limits.SOCKET)
app = Flask(__name__)


@app.post("/")
def ingest() -> tuple[Response, int]:
    if not request.headers.get("X-API-Key"):
        return jsonify(error="no key"), 401
    try:
        sent = EVENTS.validate_python(request.get_json())
    except ValidationError as error:
        return jsonify(error=error.errors(include_url=False, include_input=False)), 422
    events = [sent] if isinstance(sent, Event) else sent
    rate, month, stream = limits.names()
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.set(rate, 0, ex=limits.WINDOW_SECONDS, nx=True)
        pipeline.incr(rate)
        pipeline.incrby(month, len(events))
        _, rate_used, month_used = pipeline.execute()
    if rate_used > limits.RATE or month_used > limits.MONTHLY:
        return jsonify(error="limit exceeded"), 429
    with redis.pipeline(transaction=True) as pipeline:
        for event in events:
            pipeline.xadd(stream, {"event": event.model_dump_json()})
        ids = pipeline.execute()
    response = jsonify(success=True, accepted=len(events), last=ids[-1].decode())
    response.headers.update(limits.headers(rate_used, month_used))
    return response, 200
