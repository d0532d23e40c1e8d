"""The `jsonl` sink: one line of JSON per event, in files that sort by time.

Each event is in the files once, whatever is killed or loses power: see `JsonlFolder`.
"""

from pathlib import Path

from pydantic import Field

from headgate_sinks import hookimpl
from headgate_sinks.batch import Batch
from headgate_sinks.event_json import event_lines
from headgate_sinks.jsonl_folder import BatchName, FolderHeld, FolderUnusable, JsonlFolder
from headgate_sinks.result import Misconfigured, Outcome, Result, Retry
from headgate_sinks.sink import Config, Limits, Repeats, Spec
from headgate_sinks.sync_sink import SyncSink


class JsonlConfig(Config):
    """`[sinks.config]` of a jsonl sink."""

    path: Path | None = Field(
        None, description="The folder of the files. A relative one is in the data directory; absent: its `events`."
    )
    rotate_bytes: int = Field(
        256 * 1024 * 1024, ge=1, description="Bytes at which the next batch starts a new file; so does a new UTC day."
    )


class JsonlSink(SyncSink[JsonlConfig]):
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

    _folder: JsonlFolder

    def open(self) -> None:
        self._folder = self._make_folder()
        try:
            self._folder.open()
        except FolderUnusable as error:
            raise Misconfigured(str(error)) from error

    def check(self) -> None:
        try:
            self._make_folder().check()
        except FolderUnusable as error:
            raise Misconfigured(str(error)) from error

    def write(self, batch: Batch) -> Outcome:
        name = BatchName(batch.epoch, self.place.name, batch.shard, batch.number)
        try:
            self._folder.append(name, lambda: event_lines(batch.events))
        except FolderHeld as error:
            return Retry(str(error), after=1.0)
        return Result()

    def close(self) -> None:
        self._folder.close()

    def _make_folder(self) -> JsonlFolder:
        path = self.place.data_dir / (self.config.path or "events")
        return JsonlFolder(path, self.config.rotate_bytes, self.place.clock)


@hookimpl
def headgate_register_sinks() -> list[type[JsonlSink]]:
    return [JsonlSink]
