"""The limit of open files, of real processes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from headgate_cli.run.open_files import most_connections

RAISE = "from headgate_cli.run.open_files import raise_open_files; print(raise_open_files())"


def limited(soft: int, hard: int, *command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )


@pytest.mark.parametrize("process", ["up", "service", "gateway", "forward", "store"])
def test_too_few_are_a_clear_refusal_to_start(tmp_path: Path, process: str) -> None:
    (tmp_path / "headgate.toml").write_text('[redis]\nurl = "redis://127.0.0.1:1"\n[gateway]\ntoken = "t"\n')
    done = limited(64, 64, "-m", "headgate_cli", process, "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode != 0
    assert "open files: the limit of this process is 64, and Headgate needs at least 512" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_limit_is_raised_as_far_as_it_may_be(tmp_path: Path) -> None:
    assert limited(64, 1024, "-c", RAISE, folder=tmp_path).stdout == "1024\n"
    assert limited(700, 700, "-c", RAISE, folder=tmp_path).stdout == "700\n"


def test_some_are_kept_for_what_is_no_clients_connection() -> None:
    assert most_connections(1024) == 768
