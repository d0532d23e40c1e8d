"""The gateway process."""

import asyncio
import gc
import signal
import socket
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import orjson
import structlog
import uvicorn
from headgate_dialects.host import load
from headgate_dialects.sdk.dialect import Dialect

from headgate_gateway.app import create_app
from headgate_gateway.app_api.streaming import Streams
from headgate_gateway.config import Config, ServiceTls
from headgate_gateway.http.worker_thread import WorkerThread
from headgate_gateway.http_server.connection import Connections, HttpConnection
from headgate_gateway.http_server.server import Server
from headgate_gateway.ingest.client import CHANNEL_OPTIONS, GatheredIngestClient, IngestClient
from headgate_gateway.metrics import Metrics

_BACKLOG = 2048
# Of every answer, whoever words it: a body is what its type says, and who came by TLS comes by TLS again.
_ANSWER_HEADERS = [("x-content-type-options", "nosniff")]
_OVER_TLS = [("strict-transport-security", "max-age=31536000")]
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(config: Config, own: IngestClient | None = None) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests in progress, and return.

    `own` takes requests in where this process can do so itself; without it they go to the service.
    """
    metrics = Metrics()
    side, streams = WorkerThread(), Streams()
    async with _channel(config) as channel:
        client = own or GatheredIngestClient(channel, config.gateway_token, config.gathering, metrics.gathered)
        app = create_app(
            dialects=_dialects(config),
            client=client,
            channel=channel,
            metrics=metrics,
            side=side,
            streams=streams,
            gateway_token=config.gateway_token,
            limits=config.body,
            trusted_proxies=config.trusted_proxies,
            receipt_seconds=config.receipt_seconds,
            probe_seconds=config.probe_seconds,
            clock=time.monotonic,
            new_request_id=lambda: uuid.uuid4().hex,
        )
        with _listen(config) as listener:
            await _serve_http(config, app, listener, streams, metrics)
        await client.close()
        side.close()


def _dialects(config: Config) -> Sequence[Dialect]:
    loaded = load(config.dialects)
    for broken in loaded.broken.values():
        # The other APIs are served; its paths answer 404.
        structlog.get_logger().error("a dialect is BROKEN", dialect=broken.plugin, reason=broken.reason)
    return loaded.dialects


async def _serve_http(config: Config, app: object, listener: socket.socket, streams: Streams, metrics: Metrics) -> None:
    server = Server(uvicorn_config(config, app, metrics), lambda: _ready(config, listener))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True
        streams.close()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def uvicorn_config(config: Config, app: object, metrics: Metrics) -> uvicorn.Config:
    held = Connections(config.max_connections, lambda: metrics.shed("connection"))
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(HttpConnection, limits=config.head, held=held),  # type: ignore[arg-type]  # it is only called
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=_ANSWER_HEADERS + (_OVER_TLS if config.http_tls else []),
        # It would believe headers of any local peer; client_address.py decides whom to believe.
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=config.keep_alive_seconds,
        timeout_graceful_shutdown=config.drain_seconds,
        ssl_certfile=str(config.http_tls.certificate) if config.http_tls else None,
        ssl_keyfile=str(config.http_tls.key) if config.http_tls else None,
    )


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.http_host else socket.AF_INET
    try:
        return socket.create_server((config.http_host, config.http_port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot listen on {config.http_host}:{config.http_port} for HTTP: {error.strerror}"
        ) from error


def _ready(config: Config, listener: socket.socket) -> None:
    url = _url(config, listener)
    if config.ready_file:
        _write_whole(config.ready_file, orjson.dumps({"http": url}))
    structlog.get_logger().info("the gateway serves", http=url)
    # What lives until here lives for ever: to look at it again in every collection costs more than all the rest of it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


def _url(config: Config, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 - compared, not bound
    scheme = "https" if config.http_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _write_whole(path: Path, data: bytes) -> None:
    # Whoever waits for the file never reads half of it.
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _channel(config: Config) -> grpc.aio.Channel:
    if config.service_tls is None:
        return grpc.aio.insecure_channel(config.service_address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(
        config.service_address, _channel_credentials(config.service_tls), options=CHANNEL_OPTIONS
    )


def _channel_credentials(tls: ServiceTls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=tls.authority.read_bytes(),
        private_key=tls.key.read_bytes() if tls.key else None,
        certificate_chain=tls.certificate.read_bytes() if tls.certificate else None,
    )
