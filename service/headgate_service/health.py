"""The health that grpc.health.v1 reports: the service as a whole, and each part it needs by name."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

INGEST_SERVICE = "headgate.v1.IngestService"
REDIS = "redis"
CONTROL_DB = "control-db"
COUNTERS = "counters"

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
