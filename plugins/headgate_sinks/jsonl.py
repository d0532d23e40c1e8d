"""The `jsonl` sink: one line of JSON per event, in files that sort by time.

Each event is in the files once, whatever is killed or loses power: see `JsonlFolder`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import Field

from headgate_sinks import hookimpl
from headgate_sinks.batch import Batch
from headgate_sinks.event_json import event_line
from headgate_sinks.jsonl_folder import BatchName, FolderHeld, FolderUnusable, JsonlFolder
from headgate_sinks.result import Misconfigured, Outcome, Result, Retry
from headgate_sinks.sink import Config, Limits, Repeats, Sink, Spec


class JsonlConfig(Config):
    """`[sinks.config]` of a jsonl sink."""

    path: Path | None = Field(
        None, description="The folder of the files. A relative one is in the data directory; absent: its `events`."
    )
    rotate_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="Bytes at which the next batch starts a new file; so does a new UTC day."
    )


class JsonlSink(Sink[JsonlConfig]):
    """Appends batches to the newest file."""

    use = "jsonl"
    Config = JsonlConfig
    # Each write costs three flushes of the disk, however many events it holds.
    spec = Spec(
        limits=Limits(events=5000, bytes=4 * 1024 * 1024, age=0.1),
        concurrency=1,
        repeats=Repeats.NUMBER,
        when_full="refuse",
    )

    _thread: ThreadPoolExecutor
    _folder: JsonlFolder

    async def open(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sink-{self.place.name}")
        path = self.place.data_dir / (self.config.path or "events")
        self._folder = JsonlFolder(path, self.config.rotate_bytes, self.place.clock)
        try:
            await self._in_thread(self._folder.open)
        except FolderUnusable as error:
            self._thread.shutdown(wait=False)
            raise Misconfigured(str(error)) from error
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def check(self) -> None:
        path = self.place.data_dir / (self.config.path or "events")
        try:
            await asyncio.to_thread(JsonlFolder(path, self.config.rotate_bytes, self.place.clock).check)
        except FolderUnusable as error:
            raise Misconfigured(str(error)) from error

    async def write(self, batch: Batch) -> Outcome:
        # A write that was cancelled goes on in the thread; the next one waits behind it, and finds it written.
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)

    def _write(self, batch: Batch) -> Outcome:
        name = BatchName(batch.epoch, self.place.name, batch.shard, batch.number)
        lines = (event_line(event) for event in batch.events)
        try:
            self._folder.append(name, lambda: b"\n".join((*lines, b"")))
        except FolderHeld as error:
            return Retry(str(error), after=1.0)
        return Result()

    async def close(self) -> None:
        await self._in_thread(self._folder.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call)


@hookimpl
def headgate_register_sinks() -> list[type[JsonlSink]]:
    return [JsonlSink]
