"""A Redis as `headgate up` runs its own: fsync before each answer, never evicting."""

import shutil
import tempfile
from pathlib import Path

from headgate_cli.run.embedded_redis import EmbeddedRedis, find_server
from redis import Redis

from bench.cores import Cores
from bench.server import end, start, wait_until


class DurableRedis:
    """Runs until `stop`, which removes its data."""

    def __init__(self, cores: Cores) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        embedded = EmbeddedRedis(self.folder, max_memory="12gb")
        server = find_server()
        embedded.prepare(server)
        log = self.folder / "log"
        self._process = start(cores.serving(embedded.command(server)), log)
        self.url = embedded.url
        self.socket = embedded.socket
        wait_until(embedded.answers, self._process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> "Redis":
        return Redis(unix_socket_path=str(self.socket))

    def stop(self) -> None:
        end(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)
