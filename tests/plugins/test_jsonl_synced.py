"""What the jsonl sink relies on is on the disk before it does: each write, sync and rename, by the file it is about."""

import os
from pathlib import Path

import pytest
from headgate_sinks.jsonl.folder import RECORD, BatchName, JsonlFolder

NOON = 1795262400.0


class Disk:
    """Knows what a power cut would lose: files that were written since they were synced, and names that were made since
    the folder was."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.written: set[str] = set()
        self.named = False
        self.synced: list[str] = []
        self.faults: list[str] = []
        real = {name: getattr(os, name) for name in ("open", "fsync", "truncate")}
        rename = Path.rename

        def opened(path: Path, flags: int, *mode: int, **more: object) -> int:
            if flags & os.O_CREAT and not Path(path).exists():
                self.named = True
            # A file that is made and has nothing in it yet has nothing to lose.
            if flags & os.O_WRONLY and not flags & os.O_EXCL:
                self.written.add(Path(path).name)
            return real["open"](path, flags, *mode, **more)

        def synced(handle: int) -> None:
            path = Path(f"/proc/self/fd/{handle}").readlink()
            self.synced.append("." if path == self.folder else path.name)
            if path == self.folder:
                self.named = False
            self.written.discard(path.name)
            real["fsync"](handle)

        def truncated(path: Path, length: int) -> None:
            self.sure(f"{path.name} is cut short")
            real["truncate"](path, length)

        def renamed(path: Path, to: Path) -> Path:
            if path.name in self.written:
                self.faults.append(f"{path.name} is renamed and was not synced")
            if to.name == RECORD:
                self.sure("a record says so", but=RECORD)
            self.named = True
            return rename(path, to)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "truncate", truncated)
        monkeypatch.setattr(Path, "rename", renamed)

    def sure(self, when: str, but: str = "") -> None:
        """Notes what is not on the disk, and should be."""
        lost = sorted(name for name in self.written if not but or not name.startswith(but))
        if lost:
            self.faults.append(f"{when}, and {lost} may be lost")
        # The record's own draft needs no name that lasts.
        if self.named and not but:
            self.faults.append(f"{when}, and the names in the folder may be lost")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell which file is synced")
    return Disk(tmp_path, monkeypatch)


def opened(path: Path, rotate_bytes: int = 1 << 30) -> JsonlFolder:
    folder = JsonlFolder(path, rotate_bytes, lambda: NOON)
    folder.open()
    return folder


def append(disk: Disk, folder: JsonlFolder, number: int) -> None:
    assert folder.append((BatchName("e", "jsonl", 0, number), b"line\n"))
    disk.sure("a batch is reported as written")


@pytest.mark.parametrize("rotate_bytes", [1, 1 << 30], ids=["a file each", "one file"])
def test_lines_names_and_records_are_synced_before_they_are_relied_on(tmp_path, disk, rotate_bytes):
    folder = opened(tmp_path, rotate_bytes)
    disk.sure("the folder is open")
    for number in (1, 2, 3):
        append(disk, folder, number)
    assert disk.faults == []
    data = [name for name in disk.synced if name.endswith(".jsonl")]
    assert len(data) == 3
    assert len(set(data)) == (3 if rotate_bytes == 1 else 1)


def test_the_name_of_a_new_file_is_synced_before_a_record_names_it(tmp_path, disk):
    folder = opened(tmp_path)
    disk.synced.clear()
    steps: list[str] = []
    folder._on_step = lambda step: steps.append(f"{step} {disk.synced.count('.')}")
    append(disk, folder, 1)
    assert steps[0] == "create 1"
    assert disk.faults == []


def test_a_record_of_another_process_is_made_to_last_before_it_is_believed(tmp_path, disk):
    append(disk, opened(tmp_path), 1)
    disk.synced.clear()
    opened(tmp_path)
    assert disk.synced == ["."]


def test_what_is_moved_aside_is_on_the_disk_before_it_is_cut_off(tmp_path, disk):
    append(disk, opened(tmp_path), 1)
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("ab") as more:
        more.write(b"of someone else\n")
    disk.synced.clear()
    opened(tmp_path)
    assert disk.synced[-2:] == ["aside.new", "."]
    assert disk.faults == []
    assert [one.read_bytes() for one in tmp_path.glob("aside-*")] == [b"of someone else\n"]
