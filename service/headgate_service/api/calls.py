"""The calls under way on the public port: counted when they end, and brought to their end when the service stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from headgate_service.api.call_metrics import CallMetrics
from headgate_service.api.rpc_status import abort
from headgate_service.errors import ServiceStopping

STOPPING = "the service stops: repeat what it has not answered, on a new connection"

_LOOK_SECONDS = 0.01


class Calls:
    """`stopped` is set when the service is asked to stop."""

    def __init__(self, metrics: CallMetrics, stopped: asyncio.Event) -> None:
        self.metrics = metrics
        self.stopped = stopped
        self._under_way: set[object] = set()

    @contextmanager
    def one(self, method: str, context: Any) -> Iterator[None]:
        """A call of one answer."""
        began = time.perf_counter()
        try:
            with self._counted(method, context):
                yield
        finally:
            self.metrics.seconds.labels(method).observe(time.perf_counter() - began)

    @contextmanager
    def stream(self, method: str, context: Any) -> Iterator[None]:
        """A call of many answers."""
        with self.metrics.open_streams.labels(method).track_inprogress(), self._counted(method, context):
            yield

    async def until_stopped(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """The messages of a stream, which ends as UNAVAILABLE between two of them when the service stops."""
        stopping, coming = asyncio.ensure_future(self.stopped.wait()), None
        try:
            while True:
                coming = asyncio.ensure_future(anext(messages, None))
                await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    await abort(context, ServiceStopping(STOPPING))
                if (message := coming.result()) is None:
                    return
                yield message
        finally:
            stopping.cancel()
            if coming is not None:
                coming.cancel()

    async def drained(self, seconds: float) -> None:
        """Returns when those that are under way now have ended, after `seconds` in any case; others may come."""
        waited_for, deadline = set(self._under_way), time.monotonic() + seconds
        while waited_for & self._under_way and time.monotonic() < deadline:  # noqa: ASYNC110 - calls are many, stops few
            await asyncio.sleep(_LOOK_SECONDS)

    @contextmanager
    def _counted(self, method: str, context: Any) -> Iterator[None]:
        call, code = object(), "UNKNOWN"
        self._under_way.add(call)
        try:
            yield
            code = "OK"
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = context.code().name
            raise
        finally:
            self._under_way.discard(call)
            self.metrics.calls.labels(method, code).inc()
