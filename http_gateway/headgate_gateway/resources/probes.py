"""GET /livez and GET /readyz."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import orjson
from falcon.asgi import Request, Response
from grpc_health.v1 import health_pb2

from headgate_gateway.ingest.client import IngestClient

METHOD = "/grpc.health.v1.Health/Check"

DEPENDENCIES = {
    "service": "headgate.v1.IngestService",
    "redis": "redis",
    "counters": "counters",
    "control-db": "control-db",
}
"""What the gateway needs, and the name by which the service's health service reports it."""

STORE = "store"
"""What it tells of besides, where there is one: events are taken all the same where that is damaged."""

_HEALTH = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "string"},
        "dependencies": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


class LivenessResource:
    """200 as long as the event loop turns."""

    methods = ("GET", "HEAD")

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.data = b'{"status":"ok"}'

    on_head = on_get

    def operations(self) -> dict[str, Any]:
        return {"get": _operation("getLiveness", "Whether this process runs", {"200": "It does"})}


class ReadinessResource:
    """200 where every dependency serves, else 503 with the ones that do not.

    "ok"; "down": it says so itself or answers nothing; "unknown": the service, who would know, does not answer;
    "refused": the service does not take this gateway for one of its own. Where their revisions do not understand each
    other, the service's state says which contracts they speak. The store may be "damaged", which is told and makes
    nothing unavailable.
    """

    methods = ("GET", "HEAD")

    def __init__(self, channel: grpc.aio.Channel, client: IngestClient, deadline_seconds: float) -> None:
        self._check: Any = channel.unary_unary(
            METHOD,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._client = client
        self._deadline_seconds = deadline_seconds

    async def on_get(self, req: Request, resp: Response) -> None:
        refused, store, *states = await asyncio.gather(
            self._client.refused(self._deadline_seconds),
            self._state(STORE),
            *(self._state(name) for name in DEPENDENCIES.values()),
        )
        dependencies = dict(zip(DEPENDENCIES, states, strict=True))
        if refused:
            dependencies["service"] = refused
        elif dependencies["service"] == "unknown":
            dependencies["service"] = "down"
        ready = all(state == "ok" for state in dependencies.values())
        if store != "unknown":
            dependencies[STORE] = "damaged" if store == "down" else store
        resp.status = 200 if ready else 503
        if not ready:
            resp.set_header("Retry-After", "1")
        resp.data = orjson.dumps({"status": "ok" if ready else "unavailable", "dependencies": dependencies})

    on_head = on_get

    async def _state(self, name: str) -> str:
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = await self._check(request, timeout=self._deadline_seconds)
        except grpc.aio.AioRpcError:
            return "unknown"
        return "ok" if answer.status == health_pb2.HealthCheckResponse.SERVING else "down"

    def operations(self) -> dict[str, Any]:
        answers = {"200": "Every dependency serves", "503": "One does not; it is named"}
        return {"get": _operation("getReadiness", "Whether requests can be served", answers)}


def _operation(name: str, summary: str, answers: dict[str, str]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Operations"],
        "responses": {
            status: {"description": description, "content": {"application/json": {"schema": _HEALTH}}}
            for status, description in answers.items()
        },
    }
