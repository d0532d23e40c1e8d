"""Where the service's gRPC servers listen: a port for all, a socket for the operator."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from headgate_service.api.rpc_status import abort
from headgate_service.config import TlsFiles
from headgate_service.errors import HealthNameUnknown, ServiceStopping

REDIS = "redis"
CONTROL_DB = "control-db"
COUNTERS = "counters"
STORE = "store"

# Says whether a part answers; must itself end in time and not raise.
Probe = Callable[[], Awaitable[bool]]


class Health:
    """Asks the probes and tells grpc.health.v1. `` and what is named serve where every part of `needed` does."""

    def __init__(self, probes: Mapping[str, Probe], needed: frozenset[str]) -> None:
        self.servicer = HealthServicer()
        self._probes = probes
        self._needed = needed
        self._services: Sequence[str] = ("",)

    def name(self, services: Sequence[str]) -> None:
        """The services to tell of by their names."""
        self._services = ("", *services)

    async def run(self, interval: float = 0.5) -> None:
        """Keeps the statuses fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(interval)

    async def refresh(self) -> None:
        answers = await asyncio.gather(*(probe() for probe in self._probes.values()))
        states = dict(zip(self._probes, answers, strict=True))
        serving = all(states[part] for part in self._needed)
        self.servicer.tell({**states, **dict.fromkeys(self._services, serving)})

    def drain(self) -> None:
        """From now on nothing serves, and who watches hears it and is sent away."""
        self.servicer.end()


class HealthServicer:
    """grpc.health.v1. grpcio's own goes on with its watches for as long as the watcher likes."""

    def __init__(self) -> None:
        self._serving: Mapping[str, bool] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def tell(self, serving: Mapping[str, bool]) -> None:
        """What serves, by name."""
        if not self._ended and serving != self._serving:
            self._become(serving)

    def end(self) -> None:
        """Nothing serves any more."""
        self._ended = True
        self._become(dict.fromkeys(self._serving, False))

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        if request.service not in self._serving:
            await abort(context, HealthNameUnknown("nothing has this name here: `` is the whole"))
        return health_pb2.HealthCheckResponse(status=_status(self._serving[request.service]))

    async def List(self, request: health_pb2.HealthListRequest, context: Any) -> health_pb2.HealthListResponse:
        told = {name: health_pb2.HealthCheckResponse(status=_status(up)) for name, up in self._serving.items()}
        return health_pb2.HealthListResponse(statuses=told)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        told = None
        while True:
            changed, known = self._changed, self._serving.get(request.service)
            status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN if known is None else _status(known)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            elif self._ended:
                await abort(context, ServiceStopping("the service stops"))
            else:
                await changed.wait()

    def _become(self, serving: Mapping[str, bool]) -> None:
        self._serving = serving
        self._changed.set()
        self._changed = asyncio.Event()


def _status(up: bool) -> health_pb2.HealthCheckResponse.ServingStatus:
    return health_pb2.HealthCheckResponse.SERVING if up else health_pb2.HealthCheckResponse.NOT_SERVING


def add_reflection(names: Sequence[str], registrar: Any) -> None:
    """Serves reflection of the services, in both versions: their messages are the same on the wire."""
    servicer = ReflectionServicer([*names, reflection.SERVICE_NAME])
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, registrar)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    # Not listed, as it has no descriptor here that a client could ask for.
    registrar.add_registered_method_handlers("grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": method})


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
