"""The jsonl sink's files: each batch once, whatever happens between two steps."""

import asyncio
import fcntl
import json
import os
import resource

import pytest
from headgate.v1 import event_pb2
from headgate_sinks import Batch, Misconfigured, Place, Result, Retry, running
from headgate_sinks.jsonl.folder import BatchName, FolderHeld, JsonlFolder, file_name, is_full
from headgate_sinks.jsonl.sink import JsonlConfig, JsonlSink

NOON = 1795262400.0  # 2026-11-21T12:00:00Z
_RECORD_STEPS = ("record_write", "record_sync", "record_rename", "record")
# Of every append, and those that one has before them which begins a file: that is recorded too.
STEPS = [(step, 1) for step in ("open", "write", "sync", *_RECORD_STEPS)]
STEPS_OF_A_NEW_FILE = [("create", 1), *((step, 2) for step in _RECORD_STEPS)]


class Stopped(BaseException):
    """The process ended here."""


class Stop:
    """Ends at the n-th time that a step was done."""

    def __init__(self, step: str, times: int = 1) -> None:
        self.step, self.left = step, times

    def __call__(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                raise Stopped


def named(number: int, shard: int = 0, epoch: str = "e", sink: str = "jsonl") -> BatchName:
    return BatchName(epoch, sink, shard, number)


def folder(path, rotate_bytes=1 << 30, clock=lambda: NOON, **arguments) -> JsonlFolder:
    folder = JsonlFolder(path, rotate_bytes, clock, **arguments)
    folder.open()
    return folder


def files(path) -> list[str]:
    return sorted(found.name for found in path.glob("*.jsonl"))


def content(path) -> bytes:
    return b"".join((path / name).read_bytes() for name in files(path))


@pytest.mark.parametrize(
    ("first", "rotate_bytes", "step", "times"),
    [
        (first, rotate_bytes, *step)
        for first in (True, False)
        for rotate_bytes in (1, 1 << 30)
        for step in STEPS + STEPS_OF_A_NEW_FILE * (first or rotate_bytes == 1)
    ],
)
def test_a_batch_is_written_once_wherever_the_process_ended(tmp_path, first, rotate_bytes, step, times):
    expected = b"two\n" if first else b"one\ntwo\n"
    if not first:
        folder(tmp_path, rotate_bytes).append((named(1), b"one\n"))
    dying = JsonlFolder(tmp_path, rotate_bytes, lambda: NOON)
    dying.open()
    dying._on_step = Stop(step, times)
    with pytest.raises(Stopped):
        dying.append((named(2), b"two\n"))
    dying.close()
    next_life = folder(tmp_path, rotate_bytes)
    next_life.append((named(2), b"two\n"))
    assert content(tmp_path) == expected
    next_life.append((named(3), b"three\n"))
    assert content(tmp_path) == expected + b"three\n"


@pytest.mark.parametrize("tail", [b"garbage", b'{"half": ', b"two\n" * 3, b"\0" * 5000])
def test_a_torn_or_foreign_tail_is_moved_aside(tmp_path, tail):
    folder(tmp_path).append((named(1), b"one\n"))
    for times in (1, 2):
        with (tmp_path / files(tmp_path)[0]).open("ab") as file:
            file.write(tail)
        assert folder(tmp_path).append((named(1 + times), b"two\n"))
        assert [path.read_bytes() for path in tmp_path.glob("aside-*")] == [tail] * times
    assert content(tmp_path) == b"one\ntwo\ntwo\n"


def test_a_tail_whose_copy_was_not_finished_is_still_there(tmp_path):
    folder(tmp_path).append((named(1), b"one\n"))
    with (tmp_path / files(tmp_path)[0]).open("ab") as file:
        file.write(b"tail")
    with pytest.raises(Stopped):
        folder(tmp_path, on_step=Stop("aside"))
    assert content(tmp_path) == b"one\ntail"
    folder(tmp_path)
    assert content(tmp_path) == b"one\n"


def test_a_process_cuts_what_another_left_that_was_killed(tmp_path):
    living, dying = folder(tmp_path), folder(tmp_path)
    living.append((named(1), b"one\n"))
    dying._on_step = Stop("sync")
    with pytest.raises(Stopped):
        dying.append((named(2), b"two\n"))
    dying.close()
    living.append((named(2), b"two\n"))
    assert content(tmp_path) == b"one\ntwo\n"


STRANGERS = (
    "events-checkout.jsonl",
    "events-20261120.jsonl",
    "events-20261120T000000Z-1.jsonl",
    "events-20261120T000000Z-000001-extract.jsonl",
    "events-99991231T000000Z-000009.jsonl",
    "events-20991231T000000Z-000009.jsonl",
    "events-20261121T120000Z-000001.jsonl",
    "zebra.jsonl",
)


@pytest.mark.parametrize("rotate_bytes", [1, 1 << 30])
@pytest.mark.parametrize("record", ["none", "known", "lost", "unreadable", "restored"])
def test_files_that_the_record_does_not_know_are_left_alone(tmp_path, record, rotate_bytes):
    strangers = {name: f"{name}'s own, without a line's end".encode() for name in STRANGERS}
    if record != "none":
        folder(tmp_path, rotate_bytes).append((named(1), b"one\n"))
        own = files(tmp_path)[0]
        strangers.pop(own)
        saved = (tmp_path / "state.json").read_bytes()
        if record == "restored":
            moved_on = folder(tmp_path, 1, lambda: NOON + 1)
            moved_on.append((named(2), b"two\n"))
            strangers[files(tmp_path)[1]] = b"two\n"
            (tmp_path / "state.json").write_bytes(saved)
        elif record == "lost":
            (tmp_path / "state.json").unlink()
            strangers[own] = b"one\n"
        elif record == "unreadable":
            (tmp_path / "state.json").write_bytes(b"")
            strangers[own] = b"one\n"
    for name, text in strangers.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "events-20261119T000000Z-000007.jsonl.d").mkdir()
    one = folder(tmp_path, rotate_bytes)
    for number in range(3, 7):
        assert one.append((named(number), b"%d\n" % number))
    assert folder(tmp_path, rotate_bytes).append((named(7), b"7\n"))
    assert {name: (tmp_path / name).read_bytes() for name in strangers} == strangers
    mine = [name for name in files(tmp_path) if name not in strangers]
    before = b"one\n" if record in {"known", "restored"} else b""
    assert b"".join((tmp_path / name).read_bytes() for name in mine) == before + b"3\n4\n5\n6\n7\n"
    assert not list(tmp_path.glob("aside-*"))


@pytest.mark.parametrize("file", ["../stranger", "events-checkout.jsonl", 7])
def test_a_record_that_names_a_file_of_another_form_is_kept_aside(tmp_path, file):
    home = tmp_path / "events"
    home.mkdir()
    (tmp_path / "stranger").write_bytes(b"theirs")
    (home / "events-checkout.jsonl").write_bytes(b"theirs")
    record = {"version": 1, "file": file, "length": 0, "written": {}}
    (home / "state.json").write_text(json.dumps(record))
    folder(home).append((named(1), b"one\n"))
    assert (tmp_path / "stranger").read_bytes() == b"theirs"
    assert (home / "events-checkout.jsonl").read_bytes() == b"theirs"
    assert [json.loads(path.read_text()) for path in home.glob("state.json.unreadable-*")] == [record]


def test_every_unreadable_record_is_kept(tmp_path):
    for text in (b"{", b"[", b""):
        folder(tmp_path).append((named(1), b"one\n"))
        (tmp_path / "state.json").write_bytes(text)
    folder(tmp_path)
    assert sorted(path.read_bytes() for path in tmp_path.glob("state.json.unreadable-*")) == [b"", b"[", b"{"]


def test_a_failed_write_leaves_nothing_and_can_be_repeated(tmp_path):
    def fail(step: str) -> None:
        if step == "write":
            raise OSError(28, "No space left on device")

    broken = folder(tmp_path)
    broken.append((named(1), b"one\n"))
    broken._on_step = fail
    with pytest.raises(OSError, match="No space"):
        broken.append((named(2), b"two\n"))
    broken._on_step = lambda step: None
    assert broken.append((named(2), b"two\n"))
    assert content(tmp_path) == b"one\ntwo\n"


def test_a_record_that_finds_room_for_a_part_of_it_replaces_nothing(tmp_path):
    of_many = folder(tmp_path)
    for number in range(20):
        of_many.append((named(1, sink=f"sink-{number}"), b".\n"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, the first part of a write succeeds.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            of_many.append((named(2), b"two\n"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folder(tmp_path).append((named(1, sink="sink-3"), b"again\n")) == []
    assert of_many.append((named(2), b"two\n"))
    assert content(tmp_path) == b".\n" * 20 + b"two\n"


def test_repeats_are_known_by_epoch_sink_shard_and_number(tmp_path):
    one = folder(tmp_path)
    assert one.append((named(5), b"a\n"))
    assert not one.append((named(5), b"a\n"))
    assert not one.append((named(4), b"a\n"))
    assert one.append((named(1, shard=1), b"b\n"))
    assert one.append((named(1, epoch="f"), b"c\n"))
    assert one.append((named(1, sink="other"), b"d\n"))
    assert not folder(tmp_path).append((named(5), b"a\n"))
    assert content(tmp_path) == b"a\nb\nc\nd\n"


def test_two_processes_share_a_folder(tmp_path):
    one, other = folder(tmp_path, rotate_bytes=6), folder(tmp_path, rotate_bytes=6)
    for number in range(1, 9):
        assert (one, other)[number % 2].append((named(number), b"%d\n" % number))
        assert not (other, one)[number % 2].append((named(number), b"again\n"))
    assert content(tmp_path) == b"".join(b"%d\n" % number for number in range(1, 9))
    assert len(files(tmp_path)) == 3


def test_a_folder_whose_lock_is_held_says_so(tmp_path):
    waiting = folder(tmp_path, lock_seconds=0.05)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(FolderHeld, match=str(tmp_path)):
        waiting.append((named(1), b"x\n"))
    os.close(holder)
    assert waiting.append((named(1), b"x\n"))


def test_a_lost_record_leaves_files_as_they_are_and_begins_a_new_one(tmp_path):
    one = folder(tmp_path)
    one.append((named(1), b"one\n"))
    (first,) = files(tmp_path)
    with (tmp_path / first).open("ab") as file:
        file.write(b'{"half')
    (tmp_path / "state.json").unlink()
    folder(tmp_path).append((named(2), b"two\n"))
    assert files(tmp_path)[0] == first
    assert content(tmp_path) == b'one\n{"halftwo\n'
    assert len(files(tmp_path)) == 2


def test_a_record_nobody_can_read_is_kept_aside(tmp_path):
    folder(tmp_path).append((named(1), b"one\n"))
    (tmp_path / "state.json").write_bytes(b"{")
    folder(tmp_path).append((named(2), b"two\n"))
    assert content(tmp_path) == b"one\ntwo\n"
    assert list(tmp_path.glob("state.json.unreadable-*"))


def test_a_file_that_was_moved_away_or_cut_is_left_alone(tmp_path):
    one = folder(tmp_path)
    one.append((named(1), b"one\n"))
    (tmp_path / files(tmp_path)[0]).unlink()
    one.append((named(2), b"two\n"))
    (tmp_path / files(tmp_path)[0]).write_bytes(b"tw")
    one.append((named(3), b"three\n"))
    assert content(tmp_path) == b"twthree\n"
    assert len(files(tmp_path)) == 2


def test_files_sort_by_time_even_when_the_clock_goes_back(tmp_path):
    first = file_name(NOON, None)
    second = file_name(NOON - 3600, first)
    third = file_name(NOON + 86400, second)
    assert first == "events-20261121T120000Z-000001.jsonl"
    assert [first, second, third] == sorted([first, second, third])
    assert not is_full(first, 10, NOON - 86400, 100)
    assert not is_full(first, 99, NOON + 43199, 100)
    assert is_full(first, 100, NOON, 100)
    assert is_full(first, 1, NOON + 43200, 100)


def test_no_other_file_has_jsonl_in_its_name(tmp_path):
    dying = folder(tmp_path)
    dying._on_step = Stop("record_sync")
    with pytest.raises(Stopped):
        dying.append((named(1), b"x\n"))
    assert all("jsonl" not in found.name or found.suffix == ".jsonl" for found in tmp_path.iterdir())


def batch(number: int, *names: str) -> Batch:
    events = [event_pb2.Event(name=name, properties_json=b'{"n":1}') for name in names]
    return Batch(f"e-jsonl-s00-{number}", "e", 0, number, 0, events)


async def test_the_sink_writes_a_line_an_event_under_the_data_directory(tmp_path):
    sink = running(JsonlSink(JsonlConfig(), Place("jsonl", tmp_path, lambda: NOON)))
    await sink.check()
    assert not (tmp_path / "events").exists()
    await sink.open()
    assert await sink.write(batch(1, "a", "b")) == Result()
    assert await sink.write(batch(1, "a", "b")) == Result()
    await sink.close()
    (path,) = (tmp_path / "events").glob("*.jsonl")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"name": "a", "properties": {"n": 1}},
        {"name": "b", "properties": {"n": 1}},
    ]


async def test_a_write_that_was_cancelled_is_not_written_again(tmp_path):
    sink = running(JsonlSink(JsonlConfig(), Place("jsonl", tmp_path, lambda: NOON)))
    await sink.open()
    task = asyncio.create_task(sink.write(batch(1, *("a",) * 100)))
    await asyncio.sleep(0)
    task.cancel()
    await sink.write(batch(1, *("a",) * 100))
    await sink.close()
    assert content(tmp_path / "events").count(b"\n") == 100


def of_shard(shard: int, *names: str, properties: bytes = b"") -> Batch:
    events = [event_pb2.Event(name=name, properties_json=properties) for name in names]
    return Batch(f"e-jsonl-s{shard:02d}-1", "e", shard, 1, 0, events)


async def test_batches_that_wait_are_written_together(tmp_path):
    jsonl = JsonlSink(JsonlConfig(), Place("jsonl", tmp_path, lambda: NOON))
    await jsonl.open()
    steps: list[str] = []
    jsonl._folder._on_step = steps.append
    batches = [of_shard(shard, f"{shard}a", f"{shard}b") for shard in range(60)]
    assert await asyncio.gather(*map(jsonl.write, batches)) == [Result()] * 60
    assert steps.count("sync") == 1
    names = [json.loads(line)["name"] for line in content(tmp_path / "events").splitlines()]
    assert names == [event.name for batch in batches for event in batch.events]
    # Each of them is known by itself, and more than fit are not taken at once.
    steps.clear()
    large = [of_shard(shard, *("x",) * 4000) for shard in (61, 62)]
    assert await asyncio.gather(*map(jsonl.write, [*batches[::7], *large])) == [Result()] * 11
    assert steps.count("sync") == 2
    assert content(tmp_path / "events").count(b"\n") == 120 + 8000
    await jsonl.close()


async def test_one_that_cannot_be_written_holds_up_no_other(tmp_path):
    jsonl = JsonlSink(JsonlConfig(), Place("jsonl", tmp_path, lambda: NOON))
    await jsonl.open()
    batches = [of_shard(0, "a"), of_shard(1, "b", properties=b"{\n"), of_shard(2, "c")]
    first, broken, last = await asyncio.gather(*map(jsonl.write, batches))
    assert (first, type(broken), last) == (Result(), Retry, Result())
    assert [json.loads(line)["name"] for line in content(tmp_path / "events").splitlines()] == ["a", "c"]
    await jsonl.close()


async def test_a_held_folder_is_retried_and_an_impossible_one_needs_a_person(tmp_path):
    jsonl = JsonlSink(JsonlConfig(), Place("jsonl", tmp_path, lambda: NOON))
    sink = running(jsonl)
    await sink.open()
    jsonl._folder._lock_seconds = 0.05
    holder = os.open(tmp_path / "events", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert isinstance(await sink.write(batch(1, "a")), Retry)
    os.close(holder)
    await sink.close()

    (tmp_path / "file").write_text("")
    impossible = running(JsonlSink(JsonlConfig(path="file"), Place("jsonl", tmp_path, lambda: NOON)))
    with pytest.raises(Misconfigured, match="file"):
        await impossible.open()
    with pytest.raises(Misconfigured, match="file"):
        await impossible.check()


async def test_the_documented_example(tmp_path, documented):
    made = running(JsonlSink(JsonlConfig(**documented("jsonl")), Place("archive", tmp_path, lambda: NOON)))
    await made.open()
    assert await made.write(batch(1, "a", "b")) == Result()
    await made.close()
    assert [json.loads(line)["name"] for line in content(tmp_path / "archive").splitlines()] == ["a", "b"]
