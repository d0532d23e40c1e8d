"""`headgate up`: every process of Headgate, and a Redis of its own if none is given, in one data directory."""

import asyncio
import errno
import http.client
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from headgate_service.store.engine import ENGINE_WANTED, engine_installed

from headgate_cli.run.certificates import check_certificates
from headgate_cli.run.child import Child, ChildHopeless, ChildSpec
from headgate_cli.run.data_dir import DataDir, DataDirHeld, DataDirLock
from headgate_cli.run.embedded_redis import EmbeddedRedis, RedisMissing, RedisUnusable, find_server
from headgate_cli.run.open_files import raise_open_files
from headgate_cli.run.parent import Handover
from headgate_cli.settings.reader import SettingsInvalid
from headgate_cli.settings.settings import Settings
from headgate_cli.settings.values import Address


async def supervise(
    starting: Sequence[Child], ending: Sequence[Child], stop: asyncio.Event, on_ready: Callable[[], None]
) -> None:
    """Run children until `stop`. `starting` and `ending` are the same ones, in the orders of their starts and ends.

    A child is started when those before it serve, but for those that run beside, and asked to end when those before it
    have ended. `on_ready` is called once, when all of them serve. Raises ChildHopeless after ending all of them.
    """
    running: dict[str, asyncio.Task[None]] = {}
    stopped = asyncio.create_task(stop.wait())
    try:
        for child in starting:
            running[child.spec.name] = asyncio.create_task(child.run(), name=child.spec.name)
            if not child.spec.beside and not await _serves(child, stopped, running):
                return
        for child in starting:
            if not await _serves(child, stopped, running):
                return
        on_ready()
        await _first(stopped, *running.values())
    finally:
        stopped.cancel()
        for child in ending:
            if task := running.get(child.spec.name):
                child.stop()
                # The first failure is the one that is raised; what follows from it is not.
                await asyncio.gather(task, return_exceptions=True)


async def _serves(child: Child, stopped: "asyncio.Task[bool]", running: dict[str, "asyncio.Task[None]"]) -> bool:
    """Waits until it serves; False: all is to end."""
    serving = asyncio.create_task(child.serving.wait())
    try:
        await _first(stopped, serving, *running.values())
    finally:
        serving.cancel()
    return not stopped.done()


async def _first(*tasks: "asyncio.Task[None] | asyncio.Task[bool]") -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


class AddressTaken(Exception):
    """Something else listens there, or it is not an address of this machine."""


class HeldAddress:
    """An address with its port chosen, bound but not listened on, so that nothing else is given it meanwhile."""

    def __init__(self, asked: Address, flag: str) -> None:
        # As the gateway and the service listen: a name means IPv4.
        version = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                asked.host, asked.port, family=version, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise AddressTaken(f"{asked}: {error.strerror}: choose another with {flag}") from None
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(where)
        except OSError as error:
            self._socket.close()
            known = {errno.EADDRINUSE: "is taken by another program", errno.EACCES: "needs privileges to listen on"}
            why = known.get(error.errno or 0, f"cannot be listened on ({error.strerror})")
            raise AddressTaken(f"{asked} {why}: choose another with {flag}") from None
        self.address = Address(asked.host, self._socket.getsockname()[1])
        if sys.platform != "linux":
            # Elsewhere a bound socket keeps a child from binding too; the port is then only unlikely to be lost.
            self._socket.close()

    def close(self) -> None:
        """Give it up."""
        self._socket.close()


READY_PROBE_SECONDS = 2.0
# Children end in this order, each within so many seconds.
GRACE = {"gateway": 35.0, "service": 20.0, "forwarder": 30.0, "store": 30.0, "redis": 60.0}
# A child that serves and has not answered for so many seconds is killed and started again.
SILENCE = {"gateway": 30.0, "service": 30.0, "forwarder": 30.0, "store": 30.0, "redis": 60.0}

FAILURES = (SettingsInvalid, DataDirHeld, RedisMissing, RedisUnusable, AddressTaken, ChildHopeless)


def up(settings: Settings, data_dir: DataDir) -> None:
    """Run until SIGTERM or SIGINT. Raises one of FAILURES."""
    check_certificates(settings)
    raise_open_files()
    data_dir.make()
    lock = DataDirLock(data_dir)
    lock.take()
    data_dir.check()
    embedded = None if settings.redis.url else EmbeddedRedis(data_dir.path, str(int(settings.redis.max_memory)))
    children: list[Child] = []
    if embedded is not None:
        children.append(_redis(embedded, data_dir))
    web = HeldAddress(Address.parse(settings.http.address), "--http")
    grpc = HeldAddress(Address.parse(settings.grpc.address), "--grpc")
    stored = _embeds_store(settings)
    handed = _handed_over(settings, embedded, web.address, grpc.address, data_dir, stored)
    handover = Handover(data_dir=data_dir.path, settings=handed).encode()
    address = str(web.address.reachable)
    url = f"{'https' if settings.tls.http else 'http'}://{address}"
    ready = {
        **({"store": _written(data_dir.ready_file("store"))} if stored else {}),
        "service": _written(data_dir.ready_file("service")),
        "forwarder": _written(data_dir.ready_file("forwarder")),
        "gateway": _ready_over_http(address, tls=settings.tls.http is not None),
    }
    children += [_process(name, ready[name], data_dir, handover, lock.children_fd) for name in ready]
    asyncio.run(_run(children, f"ready http={url} grpc={grpc.address.reachable} app={url}"))
    structlog.get_logger().info("all ended")


def _embeds_store(settings: Settings) -> bool:
    """Whether a store of its own is to run; where it is wanted and cannot be had, that is said and nothing else."""
    if settings.store.url is not None or not settings.store.enabled:
        return False
    if not engine_installed():
        structlog.get_logger().warning("no store runs, and no query is answered", reason=ENGINE_WANTED)
        return False
    return True


def _handed_over(
    settings: Settings,
    embedded: EmbeddedRedis | None,
    http: Address,
    grpc: Address,
    data_dir: DataDir,
    stored: bool,
) -> Settings:
    """The settings with everything filled in that only this process knows."""
    gateway: dict[str, str | None] = {"service_ca": None, "certificate": None, "key": None}
    gateway |= {"token": secrets.token_urlsafe(32), "service": f"unix:{data_dir.service_socket}"}
    return settings.model_copy(
        update={
            "http": settings.http.model_copy(update={"address": str(http)}),
            "grpc": settings.grpc.model_copy(update={"address": str(grpc)}),
            "gateway": settings.gateway.model_copy(update=gateway),
            "redis": settings.redis.model_copy(update={"url": embedded.url}) if embedded else settings.redis,
            "store": settings.store.model_copy(update={"url": f"unix:{data_dir.store_socket}"})
            if stored
            else settings.store,
        }
    )


def _redis(embedded: EmbeddedRedis, data_dir: DataDir) -> Child:
    server = find_server()
    embedded.prepare(server)
    if embedded.stop_orphan():
        structlog.get_logger().warning("a Redis left over from an earlier run was shut down")

    async def answers() -> bool:
        return await asyncio.to_thread(embedded.answers)

    async def alive() -> bool:
        return await asyncio.to_thread(embedded.alive)

    return Child(
        ChildSpec(
            "redis",
            tuple(embedded.command(server)),
            answers,
            data_dir.pid_file("redis"),
            # It reads all its data before it answers.
            start_deadline=600.0,
            grace=GRACE["redis"],
            silence=SILENCE["redis"],
            alive=alive,
        )
    )


def _process(
    name: str, ready: Callable[[], Awaitable[bool]], data_dir: DataDir, handover: bytes, children_fd: int
) -> Child:
    return Child(
        ChildSpec(
            name,
            # -P: a module in the folder `up` is started in must not take the place of one of ours.
            (sys.executable, "-P", "-m", "headgate_cli.run.supervised", name),
            ready,
            data_dir.pid_file(name),
            stale=(data_dir.ready_file(name),),
            handover=handover,
            held=(children_fd,),
            grace=GRACE[name],
            silence=SILENCE[name],
            # It opens its data, while the others, which need no store to start, start too.
            beside=name == "store",
            start_deadline=600.0 if name == "store" else 60.0,
        )
    )


def _written(path: Path) -> Callable[[], Awaitable[bool]]:
    async def written() -> bool:
        return path.exists()  # noqa: ASYNC240 (a look at a local folder, twenty times a second)

    return written


def _ready_over_http(address: str, *, tls: bool) -> Callable[[], Awaitable[bool]]:
    # With the standard library: a client made for more would double what this process takes.
    context = ssl.create_default_context()
    # It is our own child on our own machine: whose name the certificate bears does not matter.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def ask() -> bool:
        connection = (
            http.client.HTTPSConnection(address, timeout=READY_PROBE_SECONDS, context=context)
            if tls
            else http.client.HTTPConnection(address, timeout=READY_PROBE_SECONDS)
        )
        try:
            connection.request("GET", "/readyz", headers={"Connection": "close"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    async def ready() -> bool:
        return await asyncio.to_thread(ask)

    return ready


async def _run(children: list[Child], line: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # What was ignored from the start, as nohup does with SIGHUP, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    by_name = {child.spec.name: child for child in children}
    ending = [by_name[name] for name in GRACE if name in by_name]
    await supervise(children, ending, stop, lambda: print(line, flush=True))  # noqa: T201 (it is what `up` prints)
