"""The folder of a jsonl sink: files of lines, and a record of how much of them counts.

What is in the record's file beyond its length was never reported as written, and is moved aside before the next
append. The record names a file before lines go into it, and is replaced as a whole after they are on disk; it says
which batches they are. So a process that is killed, or a machine that loses power, between any two steps leaves each
batch either written and known to be, or not there.

No other file is touched: not one that the record does not name, whatever its name, and none at all where there is no
record.

Several processes may share a folder: each takes its lock for one append, and first looks whether another was there.
"""

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

RECORD = "state.json"
_UNFINISHED_RECORD = "state.json.new"
_UNFINISHED_ASIDE = "aside.new"
_FILE = re.compile(r"events-[0-9]{8}T[0-9]{6}Z-[0-9]{6,}\.jsonl")
_REMEMBERED_LINEAGES = 32
_LOOK_AGAIN_SECONDS = 0.01

_log = logging.getLogger(__name__)


class FolderHeld(Exception):
    """Another process has held the folder's lock for longer than a write may take."""


class FolderUnusable(Exception):
    """The folder cannot be written to until a person changes something."""


@dataclass(frozen=True, slots=True)
class BatchName:
    """What tells a batch from all others; within the first three, numbers rise."""

    epoch: str
    sink: str
    shard: int
    number: int

    @property
    def lineage(self) -> str:
        return f"{self.epoch}/{self.sink}"


@dataclass(frozen=True, slots=True)
class Record:
    """How much of the folder counts: all files before `file`, and `length` bytes of it. `written` holds the last batch
    number by lineage and shard, the lineage used last at the end."""

    file: str | None
    length: int
    written: dict[str, dict[str, int]]

    def holds(self, batch: BatchName) -> bool:
        return batch.number <= self.written.get(batch.lineage, {}).get(str(batch.shard), 0)

    def after(self, batch: BatchName, file: str, length: int) -> "Record":
        written = dict(self.written)
        shards = {**written.pop(batch.lineage, {}), str(batch.shard): batch.number}
        # A lineage ends with its Redis's data or its sink's name: none comes back after so many others.
        for old in list(written)[: max(0, len(written) + 1 - _REMEMBERED_LINEAGES)]:
            del written[old]
        return Record(file, length, {**written, batch.lineage: shards})

    def to_json(self) -> bytes:
        value = {"version": 1, "file": self.file, "length": self.length, "written": self.written}
        return orjson.dumps(value) + b"\n"


def record_from_json(text: bytes) -> Record:
    """Raises ValueError."""
    try:
        value: Any = json.loads(text)
        if value["version"] != 1:
            raise ValueError(f"its version is {value['version']}, and this release knows 1")
        file, length, written = value["file"], value["length"], value["written"]
        if not (file is None or _FILE.fullmatch(file)) or type(length) is not int or length < 0:
            raise ValueError(f"it names no file of this folder: {file!r} up to {length!r}")
        return Record(file, length, written)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks a part: {error!r}") from error


def file_name(now: float, after: str | None) -> str:
    """The next file's name, later than that of the file `after` even where the clock was set back."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    serial = 1
    if after is not None:
        _, last_stamp, last_serial = after.removesuffix(".jsonl").split("-")
        stamp, serial = max(stamp, last_stamp), int(last_serial) + 1
    return f"events-{stamp}-{serial:06d}.jsonl"


def is_full(file: str, length: int, now: float, rotate_bytes: int) -> bool:
    """Whether the next batch belongs into a new file."""
    today = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
    return length >= rotate_bytes or file.split("-")[1][:8] < today


class JsonlFolder:
    """Appends batches, several in one step. Not for two threads at once.

    `on_step` is called after each step on disk with its name, for tests that stop there.
    """

    def __init__(
        self,
        path: Path,
        rotate_bytes: int,
        clock: Callable[[], float],
        lock_seconds: float = 5.0,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._clock = clock
        self._lock_seconds = lock_seconds
        self._on_step = on_step
        self._directory = -1
        self._record = Record(None, 0, {})
        # What the record's file was when it was read or written last; None: not known.
        self._seen: tuple[int, ...] | None = None
        # What lies beyond this length of this file was written here, and failed.
        self._failed: tuple[str, int] | None = None

    def check(self) -> None:
        """Raises FolderUnusable where the folder could not be opened. Makes nothing."""
        nearest = next(folder for folder in (self._path, *self._path.absolute().parents) if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise FolderUnusable(f"{nearest} is not a writable folder: correct `path` or its permissions")

    def open(self) -> None:
        """Makes the folder where there is none, and brings it to its record. Raises FolderUnusable, FolderHeld."""
        self.check()
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._locked():
                self._catch_up()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def append(self, *batches: tuple[BatchName, bytes]) -> list[BatchName]:
        """Writes batches' lines, which end with a line's end, and returns when they are on disk: which were not there
        before.

        Raises FolderHeld, OSError: then none of them is.
        """
        with self._locked():
            self._catch_up()
            file, length = self._target()
            record, parts, fresh = self._record, [], []
            for name, lines in batches:
                if not record.holds(name):
                    parts.append(lines)
                    fresh.append(name)
                    record = record.after(name, file, length + sum(map(len, parts)))
            if fresh:
                # Whatever fails from here on, the next append starts from what is on disk.
                self._seen = None
                if file != self._record.file:
                    self._begin(file)
                self._failed = file, length
                self._write(file, length, b"".join(parts))
                self._save(record)
                self._failed = None
            return fresh

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        ends = time.monotonic() + self._lock_seconds
        while True:
            try:
                fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise FolderHeld(
                        f"another process holds the lock of {self._path}: it is frozen in a write, or is not Headgate"
                    ) from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._directory, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        """Reads the record where it is not the one known here, and moves aside what it does not know of its file."""
        state = self._identity()
        if state is None or state != self._seen:
            record = self._read() if state is not None else None
            # Whoever wrote it may have been killed before it was sure to last, and it is about to be relied on.
            os.fsync(self._directory)
            if record is None:
                record = Record(None, 0, {})
                self._save(record)
            self._record = record
            self._seen = self._identity()
        file, length = self._record.file, self._record.length
        if file is not None and (size := self._size(file)) is not None and size > length:
            if self._failed != (file, length):
                self._keep_aside(file, length)
            os.truncate(self._path / file, length)
            self._on_step("cut")

    def _read(self) -> Record | None:
        path = self._path / RECORD
        try:
            return record_from_json(path.read_bytes())
        except ValueError as error:
            # It is replaced as a whole, so a crash does not do this: a person or another program did.
            aside = self._free_name(f"{RECORD}.unreadable-{int(self._clock())}")
            _log.error(
                "the record %s cannot be read (%s): it is %s now, files are left as they are, and a new one begins",
                path,
                error,
                aside.name,
            )
            path.rename(aside)
            return None

    def _keep_aside(self, file: str, length: int) -> None:
        """Copies what is beyond `length`: a write that was not finished, or someone else's; which, nobody knows."""
        aside = self._free_name(f"aside-{file.removesuffix('.jsonl')}-from-{length}")
        draft = self._path / _UNFINISHED_ASIDE
        new = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with (self._path / file).open("rb") as source, os.fdopen(new, "wb") as target:
            source.seek(length)
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        draft.rename(aside)
        os.fsync(self._directory)
        _log.warning("%s was longer than was recorded: what was beyond %d bytes is in %s", file, length, aside.name)
        self._on_step("aside")

    def _target(self) -> tuple[str, int]:
        """The file that the next batch goes to, and where in it."""
        file, length, now = self._record.file, self._record.length, self._clock()
        # Moved away or cut short by someone else: what it held is theirs, and a new file begins.
        if file is not None and self._size(file) == length and not is_full(file, length, now, self._rotate_bytes):
            return file, length
        name = file_name(now, file)
        while self._size(name) is not None:
            name = file_name(now, name)
        return name, 0

    def _begin(self, file: str) -> None:
        """Makes a file, and records it before a line goes into it. Raises OSError where another made one meanwhile."""
        os.close(os.open(self._path / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.fsync(self._directory)
        self._on_step("create")
        self._save(replace(self._record, file=file, length=0))

    def _write(self, file: str, length: int, data: bytes) -> None:
        handle = os.open(self._path / file, os.O_WRONLY)
        try:
            self._on_step("open")
            _write_all(handle, data, length, lambda: self._on_step("write"))
            os.fsync(handle)
        finally:
            os.close(handle)
        self._on_step("sync")

    def _save(self, record: Record) -> None:
        unfinished = self._path / _UNFINISHED_RECORD
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(handle, record.to_json(), 0, lambda: self._on_step("record_write"))
            os.fsync(handle)
        finally:
            os.close(handle)
        self._on_step("record_sync")
        unfinished.rename(self._path / RECORD)
        self._on_step("record_rename")
        os.fsync(self._directory)
        self._on_step("record")
        self._record = record
        self._seen = self._identity()

    def _identity(self) -> tuple[int, ...] | None:
        try:
            stat = (self._path / RECORD).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size

    def _size(self, file: str) -> int | None:
        try:
            return (self._path / file).stat().st_size
        except FileNotFoundError:
            return None

    def _free_name(self, name: str) -> Path:
        """The path of that name, or of the first that is free with a number after it."""
        path, number = self._path / name, 1
        while path.exists():
            number += 1
            path = self._path / f"{name}-{number}"
        return path


def _write_all(handle: int, data: bytes, at: int, on_part: Callable[[], None]) -> None:
    # One call may write a part, as where the disk gets full: only the next one says so.
    left = memoryview(data)
    while left:
        count = os.pwrite(handle, left, at)
        left, at = left[count:], at + count
        on_part()
