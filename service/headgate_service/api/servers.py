"""The service's two gRPC servers: one for all, one for the operator."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1.health import SERVICE_NAME
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from headgate_service.api.calls import Calls
from headgate_service.api.ingest import MAX_GATHERED_BYTES
from headgate_service.api.registrar import MAX_BYTES, Registrar
from headgate_service.api.serving import Health, add_reflection, listen, listen_on_socket
from headgate_service.config import Config, ConnectionTerms

_OPTIONS: list[tuple[str, int]] = [
    # Twice what a message may be, so that who is over hears more of it than the transport says.
    ("grpc.max_receive_message_length", 2 * MAX_BYTES),
    ("grpc.max_send_message_length", MAX_GATHERED_BYTES),
    # Two services on one port would each get some of the requests, and nobody would notice the forgotten one.
    ("grpc.so_reuseport", 0),
    # Clients may ping every 5 s, with or without calls under way: usual keepalive settings are 10 to 30 s.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
# Of calls that came while others were waited for.
_LEAST_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class GrpcService:
    """A service of `headgate.v1`: what serves it on the public server, and on the operator's. None: not served."""

    name: str
    add: Callable[[Any, Any], None]
    public: object | None = None
    operator: object | None = None


def _connection_options(terms: ConnectionTerms) -> list[tuple[str, int]]:
    options = [("grpc.max_concurrent_streams", terms.calls)]
    if terms.age_seconds is not None and terms.grace is not None:
        options += [
            ("grpc.max_connection_age_ms", round(terms.age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", round(terms.grace * 1000)),
        ]
    return options


class Servers:
    """The servers of the services, which listen at once. `address` is where everybody finds the public one. Raises
    SystemExit if they cannot listen."""

    def __init__(self, config: Config, services: Sequence[GrpcService], health: Health, calls: Calls) -> None:
        self._config = config
        self._calls = calls
        self._public = grpc.aio.server(options=[*_OPTIONS, *_connection_options(config.connections)])
        self._operator = grpc.aio.server()
        self._register(services, health)
        port = listen(self._public, f"{config.grpc_host}:{config.grpc_port}", config.tls)
        if config.gateway_socket is not None:
            listen_on_socket(self._public, config.gateway_socket)
        listen_on_socket(self._operator, config.admin_socket)
        self.address = f"{config.grpc_host}:{port}"

    def _register(self, services: Sequence[GrpcService], health: Health) -> None:
        registrar = Registrar(self._public, self._calls)
        named: list[str] = []
        for service in services:
            if service.public is not None:
                service.add(service.public, registrar)
                named.append(f"headgate.v1.{service.name}")
            if service.operator is not None:
                service.add(service.operator, self._operator)
        health.name(named)
        add_HealthServicer_to_server(health.servicer, registrar)
        add_reflection([*named, SERVICE_NAME], registrar)

    async def start(self) -> None:
        """Takes calls."""
        await self._public.start()
        await self._operator.start()
        self._config.admin_socket.chmod(0o600)

    async def stop(self) -> None:
        """Waits for the calls under way, for `drain_seconds` at most, and ends."""
        began = time.monotonic()
        # To stop a server closes its listener first: until the calls under way have ended, others are still taken.
        await self._calls.drained(self._config.drain_seconds)
        grace = max(_LEAST_GRACE, self._config.drain_seconds - (time.monotonic() - began))
        await asyncio.gather(self._public.stop(grace), self._operator.stop(grace=0))
