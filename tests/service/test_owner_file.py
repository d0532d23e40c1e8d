"""A file is on the disk before it has its name, and its name is there before anyone relies on it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from headgate_service.owner_file import make_owner_file, write_owner_file


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was asked of the system that a power cut would tell apart."""
    steps: list[str] = []

    def watch(name: str, real: Callable[..., object], what: Callable[..., str]) -> Callable[..., object]:
        def watched(*arguments: object) -> object:
            steps.append(f"{name} {what(*arguments)}")
            return real(*arguments)

        return watched

    def opened(handle: object, *_: object) -> str:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        return "folder" if path == tmp_path else f"{path.stat().st_size} bytes"

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell which file is synced")
    monkeypatch.setattr(os, "fsync", watch("sync", os.fsync, opened))
    monkeypatch.setattr(os, "link", watch("name", os.link, lambda _, name: Path(name).name))
    monkeypatch.setattr(Path, "replace", watch("name", Path.replace, lambda _, name: Path(name).name))
    return steps


def test_it_is_synced_then_named_and_its_folder_is_synced(tmp_path: Path, done: list[str]) -> None:
    write_owner_file(tmp_path / "a", 1)
    make_owner_file(tmp_path / "b", lambda: "text")
    assert done == ["sync 2 bytes", "name a", "sync folder", "sync 4 bytes", "name b", "sync folder"]
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "1\n", "b": "text"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_what_is_there_stays(tmp_path: Path, done: list[str]) -> None:
    (tmp_path / "b").write_text("first")
    make_owner_file(tmp_path / "b", lambda: "second")
    assert (tmp_path / "b").read_text() == "first"
    assert done == []


@pytest.mark.parametrize("write", [write_owner_file, lambda path, text: make_owner_file(path, lambda: text)])
def test_a_disk_that_fails_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == []
