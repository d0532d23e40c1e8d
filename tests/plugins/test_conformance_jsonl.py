"""The jsonl sink in the conformance kit."""

import contextlib
import json
from pathlib import Path
from typing import ClassVar

from headgate_sinks.conformance import (
    AnswerLost,
    Fault,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.jsonl.sink import JsonlSink


class Folder(Target):
    """The folder of the files, which cannot be one where a file stands in its place."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def received(self):
        files = sorted(self.path.glob("*.jsonl")) if self.path.is_dir() else []
        return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]

    async def arm(self, fault: Fault | None) -> None:
        if fault == NotAllowed():
            self.path.write_text("")
        elif self.path.is_file():
            self.path.unlink()


_TAKES_ALL = "a file takes every line that there is room for"
_FULL_DISK = "a disk cannot be filled here; what a failed write leaves is tested in test_jsonl.py"


class TestJsonl(SinkConformance):
    sink = JsonlSink
    cannot: ClassVar = {
        AnswerLost: "a file does not answer; every step that may be the last is tested in test_jsonl.py",
        Poison: _TAKES_ALL,
        RateLimited: "a file asks nobody to wait",
        Refuses: _TAKES_ALL,
        Silent: "a file does not answer",
        TakesOnly: _TAKES_ALL,
        TakesSome: _TAKES_ALL,
        Unavailable: _FULL_DISK,
    }

    @contextlib.asynccontextmanager
    async def target(self, folder):
        yield Folder(folder / "events")
