"""The folder that holds everything one Headgate keeps, and its lock."""

import base64
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headgate_service.owner_file import make_owner_file

from headgate_cli.settings.reader import SettingsInvalid

# What each file that is made once holds, and what its loss means.
FORMS = {
    "owner": (re.compile(r"[0-9a-f]{32}"), "delivery then begins some 10 seconds later, once"),
    "secrets.key": (
        re.compile(r"[A-Za-z0-9+/]{43}=(\s*,\s*[A-Za-z0-9+/]{43}=)*"),
        "the secrets of projects' own sinks must then be deployed again",
    ),
    "store.key": (re.compile(r"[\w-]{43}"), "the store then has another password"),
}
# The processes of a killed `up` finish what they are writing before they end.
ORPHANS_DEADLINE = 60.0


class DataDirHeld(Exception):
    """Another `headgate up` runs on the folder, or processes it left behind do not end."""


@dataclass(frozen=True)
class DataDir:
    """Where things are in it."""

    path: Path

    @property
    def run(self) -> Path:
        """Sockets, pid files and locks: nothing here matters once no process runs."""
        return self.path / "run"

    @property
    def admin_socket(self) -> Path:
        """Where operators' commands find the service."""
        return self.run / "admin.sock"

    @property
    def service_socket(self) -> Path:
        """Where the gateway that `headgate up` runs finds the service, whatever TLS others must speak."""
        return self.run / "grpc.sock"

    @property
    def first_start_file(self) -> Path:
        """The keys made at the first start."""
        return self.path / "first-start.json"

    @property
    def store(self) -> Path:
        """What the embedded store keeps."""
        return self.path / "store"

    @property
    def store_socket(self) -> Path:
        """Where the embedded store is found."""
        return self.run / "store.sock"

    def store_key(self) -> str:
        """The embedded store's password, made at the first call; its file is its owner's."""
        return self._kept("store.key", lambda: secrets.token_urlsafe(32))

    @property
    def database_url(self) -> str:
        """The embedded control database."""
        return f"sqlite+aiosqlite:///{self.path / 'control.db'}"

    def pid_file(self, child: str) -> Path:
        """The pid of a child of `headgate up`, while it runs."""
        return self.run / f"{child}.pid"

    def ready_file(self, child: str) -> Path:
        """What a child writes once it serves."""
        return self.run / f"{child}.ready"

    def make(self) -> None:
        """Make the folders, open to their owner only."""
        for folder in (self.path, self.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)

    def secrets_key(self) -> str:
        """What secrets of projects' sinks are encrypted with, where no setting says it: made at the first call."""
        return self._kept("secrets.key", lambda: base64.b64encode(secrets.token_bytes(32)).decode() + "\n")

    def owner(self) -> str:
        """A name for what runs here, made at the first call: no other data directory has it."""
        return self._kept("owner", lambda: secrets.token_hex(16))

    def check(self) -> None:
        """Read what was made here. Raises SettingsInvalid where a file of it is no longer what it was made as."""
        for name in FORMS:
            if (self.path / name).exists():
                self._read(name)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        make_owner_file(self.path / name, make)
        return self._read(name)

    def _read(self, name: str) -> str:
        form, without = FORMS[name]
        text = (self.path / name).read_text(encoding="utf-8", errors="replace").strip()
        if form.fullmatch(text) is None:
            raise SettingsInvalid(
                f"{self.path / name} is {'damaged' if text else 'empty'}: put its copy of a backup back, or delete it "
                f"({without})"
            )
        return text


class DataDirLock:
    """Held by one `headgate up` as long as it lives; its children hold a part of it as long as they do."""

    def __init__(self, data_dir: DataDir) -> None:
        self._own = (data_dir.run / "up.lock").open("a+")
        self._children = (data_dir.run / "children.lock").open("a+")
        self._data_dir = data_dir

    @property
    def children_fd(self) -> int:
        """What each child is to inherit, so that the next `up` can wait for those whose parent was killed."""
        return self._children.fileno()

    def take(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take it, waiting for children of a killed `up` to end. Raises DataDirHeld."""
        if not _try(self._own):
            self._own.seek(0)
            raise DataDirHeld(
                f"a `headgate up` (pid {self._own.read().strip() or 'unknown'}) runs on {self._data_dir.path}: "
                "stop it first, or choose another --data-dir"
            )
        self._own.truncate(0)
        self._own.write(f"{os.getpid()}\n")
        self._own.flush()
        ends = clock() + ORPHANS_DEADLINE
        while not _try(self._children):
            if clock() > ends:
                raise DataDirHeld(
                    f"processes of an earlier `headgate up` still run on {self._data_dir.path}: "
                    f"end them (their pids are in {self._data_dir.run}/*.pid) and start again"
                )
            sleep(0.1)


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
