"""A primary and a replica of it, both real, behind one TCP address that leads to either."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis as redis_sync
from headgate_cli.run.embedded_redis import EmbeddedRedis, find_server
from headgate_service.redis.keys import SHARDS, shard_keys


class Server:
    """A durable Redis, by a Unix socket and a port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._embedded = EmbeddedRedis(folder, max_memory="256mb")
        server = find_server()
        self._embedded.prepare(server)
        self._log = folder / "log"
        command = self._embedded.command(server)
        command[command.index("--port") + 1] = str(port)
        self._command = [*command, "--repl-diskless-sync-delay", "0", "--repl-timeout", "60"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis_sync.Redis:
        return redis_sync.Redis(unix_socket_path=str(self._embedded.socket))

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ends = time.monotonic() + 30
        while not self._embedded.answers():
            if self._process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"redis-server did not start: {self._log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@dataclass
class Address:
    """A TCP address that leads to a port. Connections that are open stay where they are."""

    target: int
    url: str = ""

    async def connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        ends = [to_client]
        with contextlib.suppress(OSError):
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(to_server)
            ways = [asyncio.create_task(_pass(client, to_server)), asyncio.create_task(_pass(server, to_client))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        for end in ends:
            end.transport.abort()


async def _pass(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65536):
            to.write(piece)
            await to.drain()


@dataclass
class Pair:
    """`address` leads to the primary at first."""

    first: Server
    second: Server
    address: Address

    def follow(self, replica: Server, primary: Server) -> None:
        """Returns once the replica has all that the primary has."""
        replica.client.replicaof("127.0.0.1", primary.port)
        ends = time.monotonic() + 30
        while True:
            said = replica.client.info("replication")
            there = primary.client.info("replication")["master_repl_offset"]
            if said.get("master_link_status") == "up" and said["slave_repl_offset"] == there:
                return
            assert time.monotonic() < ends, said
            time.sleep(0.02)

    def promote(self, server: Server) -> None:
        server.client.replicaof("NO", "ONE")

    def put_epochs(self) -> None:
        self.first.client.mset({shard_keys(shard).epoch: "e90c4" for shard in range(SHARDS)})


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Pair]:
    ports = []
    for _ in range(2):
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
    servers = []
    for name, port in zip(("1", "2"), ports, strict=True):
        (folder / name).mkdir()
        servers.append(Server(folder / name, port))
    address = Address(ports[0])
    listening = await asyncio.start_server(address.connect, "127.0.0.1", 0)
    address.url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    pair = Pair(*servers, address)
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(pair.follow, pair.second, pair.first)
        yield pair
    finally:
        listening.close()
        for server in servers:
            server.kill()
