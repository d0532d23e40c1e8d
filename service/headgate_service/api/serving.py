"""Where the service's gRPC servers listen: a port for all, a socket for the operator."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from headgate_service.config import TlsFiles

INGEST_SERVICE = "headgate.v1.IngestService"
REDIS = "redis"
CONTROL_DB = "control-db"
COUNTERS = "counters"
STORE = "store"

# Says whether a part answers; must itself end in time and not raise.
Probe = Callable[[], Awaitable[bool]]


class Health:
    """Asks the probes and tells grpc.health.v1. `` and the ingest service serve where every part of `needed` does."""

    def __init__(self, probes: Mapping[str, Probe], needed: frozenset[str]) -> None:
        self.servicer = health_aio.HealthServicer()
        self._probes = probes
        self._needed = needed

    async def run(self, interval: float = 0.5) -> None:
        """Keeps the statuses fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(interval)

    async def refresh(self) -> None:
        answers = await asyncio.gather(*(probe() for probe in self._probes.values()))
        states = dict(zip(self._probes, answers, strict=True))
        serving = all(states[part] for part in self._needed)
        for part, up in {**states, "": serving, INGEST_SERVICE: serving}.items():
            await self.servicer.set(part, _status(up))

    async def drain(self) -> None:
        """From now on nothing serves."""
        await self.servicer.enter_graceful_shutdown()


def _status(up: bool) -> health_pb2.HealthCheckResponse.ServingStatus:
    return health_pb2.HealthCheckResponse.SERVING if up else health_pb2.HealthCheckResponse.NOT_SERVING


def listen(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    """Makes the server listen on HOST:PORT and returns the port. Raises SystemExit where it cannot."""
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(tls))
    except RuntimeError as error:
        raise SystemExit(
            f"the service cannot listen on {address}: is the port taken? Choose another with --grpc"
        ) from error


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.client_ca.read_bytes() if tls.client_ca else None,
        require_client_auth=tls.client_ca is not None,
    )


def listen_on_socket(server: grpc.aio.Server, path: Path) -> None:
    """Makes the server listen on a socket that only its owner can open. Raises SystemExit where it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    # The socket is never open to others, not even for the moment until its mode is set.
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise SystemExit(
            f"the service cannot listen on {path}: a socket's path has room for about 100 characters; "
            "choose a shorter --data-dir"
        ) from error
    finally:
        os.umask(before)
