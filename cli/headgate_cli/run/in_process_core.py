"""A gateway that takes requests in by itself, without a service between it and the log."""

import asyncio
from collections.abc import Awaitable, Callable

from headgate.v1.ingest_service_pb2 import GatheredAnswer, GatheredRequest
from headgate_service.api.gathered_requests import GatheredRequests
from headgate_service.config import Config
from headgate_service.control_db.database import ControlDb
from headgate_service.ingest.core import IngestCore


class InProcessCore:
    """An IngestClient that is one call of a function away from the core."""

    def __init__(self, core: IngestCore) -> None:
        self._requests = GatheredRequests(core.ingest)

    async def ingest(self, request: GatheredRequest) -> GatheredAnswer:
        """The core's answer; the log's own deadline bounds it."""
        return await self._requests.answer(request)

    async def refused(self, seconds: float) -> str:
        """Nobody is asked."""
        return ""

    async def close(self) -> None:
        """A request that was taken is answered by the HTTP server's own drain."""


async def serve_in_process(config: Config, serve: Callable[[InProcessCore], Awaitable[None]]) -> None:
    """Runs `serve` over a core of this process, on the Redis and the control DB of `config`, whose schema a service
    has made.

    Raises ControlDbUnavailable.
    """
    database = ControlDb(config.database_url)
    core = await IngestCore.of(config, database)
    async with asyncio.TaskGroup() as tasks:
        kept_fresh = tasks.create_task(core.run(), name="ingest-core")
        await core.prepare()
        await serve(InProcessCore(core))
        kept_fresh.cancel()
    await core.close()
    await database.close()
