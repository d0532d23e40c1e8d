"""The `jsonl` sink: one line of JSON per event, in files that sort by time.

Each event is in the files once, whatever is killed or loses power: see `JsonlFolder`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import Field

from headgate_sinks import hookimpl
from headgate_sinks.formats.event_json import event_lines
from headgate_sinks.jsonl.folder import BatchName, FolderHeld, FolderUnusable, JsonlFolder
from headgate_sinks.sdk.sink import (
    Batch,
    Config,
    Limits,
    Misconfigured,
    Outcome,
    Place,
    Repeats,
    Result,
    Retry,
    Sink,
    SinkThread,
    Spec,
)

# So many are written together at most, but for a larger batch: the text of all of them is in memory at once.
_EVENTS_AT_ONCE = 5000


class JsonlConfig(Config):
    """`[sinks.config]` of a jsonl sink."""

    path: Path | None = Field(
        None, description="The folder of the files. A relative one is in the data directory; absent: its `events`."
    )
    rotate_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="Bytes at which the next batch starts a new file; so does a new UTC day."
    )


class JsonlSink(Sink[JsonlConfig]):
    """Appends what waits to the newest file at once, and what comes meanwhile after that.

    An append costs three flushes of the disk, however many batches it holds: those of all shards close together, and
    share them.
    """

    use = "jsonl"
    Config = JsonlConfig
    spec = Spec(
        limits=Limits(events=5000, bytes=4 * 1024 * 1024, age=0.25),
        concurrency=64,
        repeats=Repeats.NUMBER,
        when_full="refuse",
    )

    def __init__(self, config: JsonlConfig, place: Place) -> None:
        super().__init__(config, place)
        self._thread = SinkThread(f"sink-{place.name}")
        self._waiting: deque[tuple[Batch, asyncio.Future[Outcome]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._folder = self._make_folder()

    async def open(self) -> None:
        try:
            await self._thread.run(self._folder.open)
        except FolderUnusable as error:
            raise Misconfigured(str(error)) from error

    async def check(self) -> None:
        try:
            await self._thread.run(self._make_folder().check)
        except FolderUnusable as error:
            raise Misconfigured(str(error)) from error

    async def write(self, batch: Batch) -> Outcome:
        said: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((batch, said))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        return await said

    async def close(self) -> None:
        try:
            if self._writing is not None:
                await asyncio.wait([self._writing])
            await self._thread.run(self._folder.close)
        finally:
            self._thread.end()

    async def _write_waiting(self) -> None:
        try:
            while taken := self._take():
                batches = [batch for batch, _ in taken]
                outcomes = await self._thread.run(partial(self._append, batches))
                for (_, said), outcome in zip(taken, outcomes, strict=True):
                    if not said.done():
                        said.set_result(outcome)
        finally:
            self._writing = None

    def _take(self) -> list[tuple[Batch, "asyncio.Future[Outcome]"]]:
        taken: list[tuple[Batch, asyncio.Future[Outcome]]] = []
        events = 0
        while self._waiting and (not taken or events + len(self._waiting[0][0].events) <= _EVENTS_AT_ONCE):
            batch, said = self._waiting.popleft()
            # One that was given up before it was begun is not begun.
            if not said.done():
                taken.append((batch, said))
                events += len(batch.events)
        return taken

    def _append(self, batches: Sequence[Batch]) -> Sequence[Outcome]:
        try:
            named = [(BatchName(one.epoch, self.place.name, one.shard, one.number), one.events) for one in batches]
            self._folder.append(*((name, event_lines(events)) for name, events in named))
        except FolderHeld as error:
            return [Retry(str(error), after=1.0)] * len(batches)
        # All of them come again; where it is one batch that cannot be written, it is not to hold up the others.
        except Exception as error:  # noqa: BLE001
            if len(batches) > 1 and not isinstance(error, OSError):
                return [outcome for one in batches for outcome in self._append([one])]
            return [Retry(f"{type(error).__name__}: {error}")] * len(batches)
        return [Result()] * len(batches)

    def _make_folder(self) -> JsonlFolder:
        path = self.place.data_dir / (self.config.path or "events")
        return JsonlFolder(path, self.config.rotate_bytes, self.place.clock)


@hookimpl
def headgate_register_sinks() -> list[type[JsonlSink]]:
    return [JsonlSink]
