"""Sinks whose clients block: the same four methods, without `async`, in a thread of their own."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

from headgate_sinks.batch import Batch
from headgate_sinks.result import Outcome
from headgate_sinks.sink import C, Kind, Sink
from headgate_sinks.sink_thread import SinkThread


class SyncSink(Kind[C], ABC):
    """Writes batches to a target, one at a time, whatever `spec.concurrency` says. All calls come from one thread,
    which makes no others. A write that is given up (after `spec.write_seconds`) or cancelled goes on to its end before
    the next call; so give the client timeouts of its own.

    What each method is for, and what it may raise, is as in `Sink`.
    """

    # In the order in which they are called; only `write` must be there.
    def open(self) -> None: ...

    def check(self) -> None: ...

    @abstractmethod
    def write(self, batch: Batch) -> Outcome: ...

    def close(self) -> None: ...


AnySink = Sink[Any] | SyncSink[Any]


class ThreadedSink(Sink[Any]):
    """A SyncSink as the forwarder runs it."""

    def __init__(self, sink: SyncSink[Any]) -> None:
        super().__init__(sink.config, sink.place)
        self.spec = replace(sink.spec, concurrency=1)
        self._sink = sink
        self._thread = SinkThread(f"sink-{sink.place.name}")

    async def open(self) -> None:
        await self._thread.run(self._sink.open)

    async def check(self) -> None:
        await self._thread.run(self._sink.check)

    async def write(self, batch: Batch) -> Outcome:
        return await self._thread.run(lambda: self._sink.write(batch))

    async def close(self) -> None:
        try:
            await self._thread.run(self._sink.close)
        finally:
            self._thread.end()


def running(sink: AnySink) -> Sink[Any]:
    """The sink with coroutines for methods, whichever form it has."""
    return ThreadedSink(sink) if isinstance(sink, SyncSink) else sink
