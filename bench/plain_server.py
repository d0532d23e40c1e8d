"""Peers and ceilings: HTTP servers of one command each."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path

from bench.cores import Cores
from bench.durable_redis import DurableRedis
from bench.server import end, start, wait_until

# How long after one worker of a server answers its others may still be loading.
_OTHER_WORKERS_SECONDS = 1.0
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body; client_max_body_size 16m;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; return 200 '{{"success":true}}'; }}
}}
"""


class PlainServer:
    """A server of one command; `redis`, where it needs one, is told to it in the environment."""

    host = "127.0.0.1"

    def __init__(self, cores: Cores, command: str, redis: DurableRedis | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hg-bench-"))
        self.port = free_port()
        self._redis = redis
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, port=self.port))
        words = command.format(python=sys.executable, port=self.port, folder=self.folder).split()
        environment: Mapping[str, str] = {"BENCH_REDIS": str(redis.socket)} if redis else {}
        log = self.folder / "log"
        settings = [f"{name}={value}" for name, value in environment.items()]
        self._process = start(cores.serving(["env", *settings, *words]), log)
        wait_until(self._answers, self._process, log)
        time.sleep(_OTHER_WORKERS_SECONDS)

    def pids(self) -> dict[str, int]:
        return {"server": self._process.pid} | ({"redis": self._redis.pid} if self._redis else {})

    def prepare(self) -> None:
        if self._redis:
            with self._redis.client() as client:
                client.flushall()

    def stop(self) -> None:
        end(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        # That it listens says little: gunicorn's master does before its workers have loaded anything.
        try:
            with contextlib.closing(HTTPConnection(self.host, self.port, timeout=5)) as connection:
                connection.request("POST", "/", b"{}")
                connection.getresponse().read()
        except OSError:
            return False
        return True


def nginx_path() -> str | None:
    """The nginx that is installed; $BENCH_NGINX names another."""
    return os.environ.get("BENCH_NGINX") or shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
