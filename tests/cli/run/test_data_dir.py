"""The small files of a data directory: made once, and never taken for a value where they are damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from headgate_cli.run.data_dir import FORMS, DataDir
from headgate_cli.settings.reader import SettingsInvalid

MAKE = {"owner": DataDir.owner, "secrets.key": DataDir.secrets_key, "store.key": DataDir.store_key}


@pytest.mark.parametrize("name", FORMS)
def test_a_file_is_made_once(tmp_path: Path, name: str) -> None:
    made = MAKE[name](DataDir(tmp_path))
    assert MAKE[name](DataDir(tmp_path)) == made
    assert (tmp_path / name).read_text().strip() == made
    DataDir(tmp_path).check()


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("text", "said"), [("", "empty"), ("\0" * 32, "damaged"), ("half", "damaged")])
def test_an_empty_or_damaged_one_is_an_error_and_no_value(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    for read in (MAKE[name], DataDir.check):
        with pytest.raises(SettingsInvalid, match=f"{name} is {said}: put its copy of a backup back, or delete it"):
            read(DataDir(tmp_path))
    assert (tmp_path / name).read_text() == text


def test_up_says_so_before_it_starts_anything(short_dir: Path) -> None:
    (short_dir / "owner").touch()
    command = (sys.executable, "-m", "headgate_cli", "up", "--data-dir", str(short_dir))
    done = subprocess.run(
        [*command, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{short_dir / 'owner'} is empty" in done.stderr
    assert "child started" not in done.stderr


@pytest.mark.parametrize("name", FORMS)
def test_each_is_on_the_disk_before_it_has_its_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell which file is synced")
    steps: list[str] = []
    sync, link = os.fsync, os.link

    def synced(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        steps.append("folder" if path == tmp_path else f"{path.stat().st_size} bytes")
        sync(handle)

    def named(draft: Path, path: Path) -> None:
        steps.append(Path(path).name)
        link(draft, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", named)
    MAKE[name](DataDir(tmp_path))
    assert steps == [f"{(tmp_path / name).stat().st_size} bytes", name, "folder"]
