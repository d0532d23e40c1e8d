"""Where a project's own sink runs: without a way to what is the operator's."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult
from headgate_sinks import Place
from pydantic import SecretStr

# The loop's own resolver runs on few threads that all share. Whoever names a host has a say in how long its resolution
# takes: so these have threads of their own, of which no project takes more than one.

THREADS = 64
SECONDS = 5.0


class ProjectSinkResolvers:
    """`of` gives all sinks of one project the same."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "tenant-resolver")
        self._by_project: WeakValueDictionary[str, ProjectSinkResolver] = WeakValueDictionary()

    def of(self, project_id: str) -> "ProjectSinkResolver":
        found = self._by_project.get(project_id)
        if found is None:
            found = self._by_project[project_id] = ProjectSinkResolver(self._threads)
        return found

    def close(self) -> None:
        """Waits for no look-up that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class ProjectSinkResolver(AbstractResolver):
    """Resolves one name at a time."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._turn = asyncio.Lock()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError, TimeoutError."""
        async with asyncio.timeout(SECONDS):
            await self._turn.acquire()
            looking = self._threads.submit(
                socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
            )
            loop = asyncio.get_running_loop()
            # A thread cannot be ended: the next look-up waits for it, whoever asked for this one.
            looking.add_done_callback(lambda _: _release(loop, self._turn))
            infos = await asyncio.shield(asyncio.wrap_future(looking))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in infos
        ]

    async def close(self) -> None:
        """Others of its project may use it still."""


def _release(loop: asyncio.AbstractEventLoop, turn: asyncio.Lock) -> None:
    # The loop may be closed by the time that a slow look-up is over.
    if not loop.is_closed():
        loop.call_soon_threadsafe(turn.release)


@dataclass(frozen=True, slots=True)
class ProjectSinkPlace(Place):
    """A secret is what it is: nothing in it leads to a variable, a file or a plugin's vault."""

    def secret(self, given: str | SecretStr) -> str:
        return given.get_secret_value() if isinstance(given, SecretStr) else given
