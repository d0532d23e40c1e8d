"""A disk of its own: an ext4 image that can be cut from power and filled (Linux, root)."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.family import send
from tests.faults.world import World

PROGRAMS = ("mkfs.ext4", "e2fsck", "losetup", "mount", "umount")
# e2fsck's exit statuses up to here say that all is well now.
MENDED = 1
COPIES = 20


class Disk:
    """A mounted image; `folder` is where its files are."""

    def __init__(self, folder: Path, size: str) -> None:
        self.image = folder / "disk.ext4"
        self.folder = folder / "disk"
        self.folder.mkdir()
        self._device: Path | None = None
        _run("truncate", "-s", size, str(self.image))
        # Nothing reserved for root: full is full.
        _run("mkfs.ext4", "-q", "-m", "0", str(self.image))

    def mount(self) -> None:
        self._device = Path(_run("losetup", "--find", "--show", str(self.image)).strip())
        # What no program has synced stays away from the disk for long, as far as the file system's own rules allow.
        _run("mount", "-o", "commit=60", str(self._device), str(self.folder))

    def unmount(self) -> None:
        if self._device is not None:
            _run("umount", str(self.folder))
            _run("losetup", "--detach", str(self._device))
            self._device = None

    def copy(self) -> Path:
        """What a power cut would leave now. Everything that writes is to be stopped.

        The kernel may write while it is copied, which would be no state that the disk ever was in: then once more.
        """
        copied = self.image.with_name("copy.ext4")
        for _ in range(COPIES):
            before = self._written()
            _run("cp", "--sparse=always", str(self.image), str(copied))
            if self._written() == before:
                return copied
        pytest.fail("the kernel wrote to the disk all the time")

    def put(self, image: Path) -> None:
        """Have it as this image from now on."""
        self.unmount()
        image.replace(self.image)
        checked = subprocess.run(["e2fsck", "-p", str(self.image)], capture_output=True, text=True, check=False)
        assert checked.returncode <= MENDED, checked.stdout
        self.mount()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not a block is left, at first; what is freed meanwhile is there for all."""
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            size = shutil.disk_usage(self.folder).free
            end = 0
            while size >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), end, size)
                    end += size
                except OSError:
                    size //= 2
        try:
            yield
        finally:
            filler.unlink()

    def _written(self) -> tuple[str, ...]:
        """How many writes it has had, and how many are under way."""
        assert self._device is not None
        said = Path(f"/sys/block/{self._device.name}/stat").read_text().split()
        return said[4], said[6], said[8]


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def why_no_disk() -> str | None:
    """Why there can be none here; None: there can."""
    if os.geteuid() != 0:
        return "only root may mount a disk"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"not installed: {', '.join(missing)}"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    return None


@dataclass(frozen=True)
class PowerCut:
    """All ends at one moment, and what the disk had not been given is lost. Perhaps just after a merge of the store."""

    disk: Disk = field(repr=False)
    after_merge: bool = False

    async def strike(self, world: World) -> None:
        if self.after_merge:
            world.asked("OPTIMIZE TABLE events FINAL")
        stopped = world.freeze()
        copied = self.disk.copy()
        send(stopped, 9)
        assert world.headgate.process is not None
        world.headgate.process.wait()
        await world.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stopped), "all are gone")
        self.disk.put(copied)


@dataclass(frozen=True)
class DiskFull:
    """No block of the disk is free until nothing is taken any more, and so many seconds after it."""

    disk: Disk = field(repr=False)
    seconds: float = 0.0

    async def strike(self, world: World) -> None:
        with self.disk.full():
            await world.until_stalled()
            await world.wait(self.seconds)
