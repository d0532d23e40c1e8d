"""The HTTP application: every route, and what each is made of."""

import traceback
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

import falcon
import falcon.asgi
import grpc.aio
import structlog
from falcon.asgi import Request, Response
from headgate_dialects.sdk.api import Route
from headgate_dialects.sdk.dialect import Dialect

from headgate_gateway.app_api.resource import Plumbing
from headgate_gateway.app_api.routes import app_api_routes
from headgate_gateway.app_api.streaming import Streams
from headgate_gateway.http.body import BodyLimits, BodyReader
from headgate_gateway.http.body_budget import BodyBudget
from headgate_gateway.http.client_address import Network
from headgate_gateway.http.path_spelling import by_spelling
from headgate_gateway.http.problem import Methods, problem
from headgate_gateway.http.worker_thread import WorkerThread
from headgate_gateway.http_server.deferred_body import DeferredBody
from headgate_gateway.ingest.client import IngestClient
from headgate_gateway.ingest.ingestion import Ingestion
from headgate_gateway.ingest.resource import IngestResource
from headgate_gateway.metrics import Metrics, MetricsResource
from headgate_gateway.resources.browser_client import BrowserClientResource
from headgate_gateway.resources.experiments import ExperimentsResource
from headgate_gateway.resources.openapi import OpenApiResource, document
from headgate_gateway.resources.probes import LivenessResource, ReadinessResource
from headgate_gateway.resources.receipts import ReceiptResource
from headgate_gateway.resources.schemas import SCHEMAS, ConfigSchemaResource
from headgate_gateway.web.routes import HOME, web_routes


class Resource(Protocol):
    """What a route is made of, beside Falcon's `on_` methods."""

    @property
    def methods(self) -> Sequence[str]: ...

    def operations(self) -> dict[str, Any]:
        """Return its OpenAPI operations by lower-case method."""
        ...


def create_app(
    *,
    dialects: Sequence[Dialect],
    client: IngestClient,
    channel: grpc.aio.Channel,
    metrics: Metrics,
    side: WorkerThread,
    streams: Streams,
    limits: BodyLimits,
    gateway_token: str,
    trusted_proxies: Sequence[Network],
    receipt_seconds: float,
    probe_seconds: float,
    clock: Callable[[], float],
    new_request_id: Callable[[], str],
) -> DeferredBody:
    """Wire the application; it opens nothing. `channel` is the service's, `clock` is monotonic seconds."""
    reader = BodyReader(limits, side, BodyBudget(limits.bodies, limits.held_bytes))

    def ingest(dialect: Dialect, route: Route) -> IngestResource:
        ingestion = Ingestion(dialect, route, client, reader, trusted_proxies, metrics)
        return IngestResource(ingestion, limits, metrics, clock, page=HOME if route.path == "/" else "")

    plumbing = Plumbing(channel, reader, streams, trusted_proxies, gateway_token, new_request_id)
    openapi = OpenApiResource()
    routes: dict[str, Resource] = {
        **{route.path: ingest(dialect, route) for dialect in dialects for route in dialect.api.routes},
        **app_api_routes(plumbing),
        **{path: ConfigSchemaResource(channel, schema, new_request_id) for path, schema in SCHEMAS.items()},
        "/v1/receipts/{receipt}": ReceiptResource(channel, receipt_seconds, new_request_id),
        "/hg.js": BrowserClientResource(),
        "/livez": LivenessResource(),
        "/readyz": ReadinessResource(channel, client, probe_seconds),
        "/metrics": MetricsResource(metrics),
        "/openapi.json": openapi,
    }
    for dialect in dialects:
        if dialect.api.experiments:
            routes[dialect.api.experiments] = ExperimentsResource(dialect, client)
    openapi.publish(
        document(
            {path: resource.operations() for path, resource in routes.items()},
            [route.path for dialect in dialects for route in dialect.api.routes],
            [dialect.components() for dialect in dialects],
        )
    )

    app = falcon.asgi.App(middleware=[Methods(new_request_id)])
    app.req_options.strip_url_path_trailing_slash = True
    for path, resource in {**by_spelling(routes), **web_routes(plumbing)}.items():
        app.add_route(path, resource)
    _word_errors(app, new_request_id)
    return DeferredBody(app)


def _word_errors(app: "falcon.asgi.App[Any, Any]", new_request_id: Callable[[], str]) -> None:
    async def refused(
        req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any], **_: object
    ) -> None:
        status = HTTPStatus(error.status_code)
        resp.status = status.value
        resp.set_headers(error.headers or {})
        message = "There is nothing at this path." if status == HTTPStatus.NOT_FOUND else status.phrase
        resp.data = problem(status.name.lower(), message, new_request_id())

    async def broken(req: Request, resp: Response, error: Exception, params: dict[str, Any], **_: object) -> None:
        request_id = new_request_id()
        places = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
        structlog.get_logger().error(
            "a request met a defect", request_id=request_id, error=type(error).__name__, places=places
        )
        resp.status = 500
        resp.data = problem("internal_error", "This should not have happened; it is logged.", request_id)

    app.add_error_handler(Exception, broken)
    app.add_error_handler(falcon.HTTPError, refused)
