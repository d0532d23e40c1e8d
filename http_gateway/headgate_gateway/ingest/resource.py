"""An ingestion API's route."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from falcon.asgi import Request, Response
from headgate_dialects.sdk.dialect import Unparsable
from headgate_dialects.sdk.rejection import Rejection
from msgspec.structs import replace

from headgate_gateway.http.body import BodyLimits, ClientGone, answer_then_discard, bears_body
from headgate_gateway.http.headers import request_headers
from headgate_gateway.http.origin import cors_headers, preflight_headers
from headgate_gateway.http_server.deferred_body import has_whole_body, receive_of
from headgate_gateway.ingest.ingestion import Ingestion, Reply
from headgate_gateway.metrics import Metrics


class IngestResource:
    """One route of a dialect, with CORS on every answer. A browser that opens it goes to `page`, if there is one."""

    def __init__(
        self,
        ingestion: Ingestion,
        limits: BodyLimits,
        metrics: Metrics,
        clock: Callable[[], float],
        page: str = "",
    ) -> None:
        self.methods = (*ingestion.route.methods, "OPTIONS")
        self._page = page
        self._ingestion = ingestion
        self._limits = limits
        self._metrics = metrics
        self._clock = clock

    async def on_post(self, req: Request, resp: Response) -> None:
        started = self._clock()
        headers = request_headers(req.scope)
        self._metrics.in_flight += 1
        try:
            reply = await self._ingestion.reply(
                headers,
                receive_of(req.scope),
                _peer(req),
                whole=has_whole_body(req.scope),
                method=req.method,
                query=req.query_string,
            )
        except ClientGone:
            reply = self._ingestion.rejected(Unparsable(Rejection.SLOW))
        except Exception as defect:  # noqa: BLE001 - the edge: a defect costs one request a 503, and shows no traceback
            reply = self._ingestion.broken(defect)
        finally:
            self._metrics.in_flight -= 1
        self._write(req, resp, reply, headers)
        self._metrics.answered(self._ingestion.name, reply.answer.status, self._clock() - started)

    on_get = on_post

    async def on_options(self, req: Request, resp: Response) -> None:
        resp.status = 204
        resp.set_headers({"Allow": ", ".join(self.methods), **preflight_headers(request_headers(req.scope))})

    async def refuse_method(self, req: Request, resp: Response) -> None:
        if self._page and req.method == "GET" and "text/html" in (req.get_header("Accept") or ""):
            resp.status = 303
            resp.set_headers({"Location": self._page, "Vary": "Accept", "Cache-Control": "no-store"})
            return
        reply = self._ingestion.rejected(Unparsable(Rejection.METHOD))
        headers = request_headers(req.scope)
        allow = {"Allow": ", ".join(self.methods)}
        self._write(req, resp, replace(reply, headers=allow, unread=bears_body(headers)), headers)

    def operations(self) -> dict[str, Any]:
        """The dialect's operation; its id is told apart where it has several routes and methods."""
        dialect, route = self._ingestion.dialect, self._ingestion.route
        place = [route.path for route in dialect.api.routes].index(route.path)
        told: dict[str, Any] = {}
        for method in route.methods:
            operation = dialect.operation()
            if place or told:
                operation = operation | {"operationId": f"{operation['operationId']}_{method.lower()}{place + 1}"}
            told[method.lower()] = operation
            if method == "GET":
                operation.pop("requestBody", None)
        return told

    def _write(self, req: Request, resp: Response, reply: Reply, headers: Mapping[str, str]) -> None:
        resp.status = reply.answer.status
        resp.set_headers(
            {
                **reply.answer.headers,
                **reply.headers,
                **cors_headers(headers, self._ingestion.dialect.api.credentials_allowed),
            }
        )
        body = reply.answer.body
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        if not reply.unread or req.method == "HEAD":
            resp.data = data
            return
        resp.set_header("Connection", "close")
        resp.content_length = len(data)
        resp.stream = answer_then_discard(data, receive_of(req.scope), self._limits)


def _peer(req: Request) -> str:
    client = req.scope.get("client")
    return client[0] if client else ""
