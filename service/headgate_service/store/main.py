"""The store's composition root: the engine, alone in this process, behind ClickHouse's HTTP protocol."""

import asyncio
import fcntl
import os
import signal
from contextlib import AsyncExitStack
from typing import IO

import orjson
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from headgate_service.owner_file import write_owner_file
from headgate_service.process import freeze_gc
from headgate_service.store.access import write_access_files
from headgate_service.store.config import MIB, Config
from headgate_service.store.damage import DAMAGED_PARTS, damaged_parts
from headgate_service.store.engine import Engine
from headgate_service.store.metrics import StoreMetrics
from headgate_service.store.runner import Runner
from headgate_service.store.schema import migrate
from headgate_service.store.server import StoreServer

# Statements stand in addresses, with all their parameters.
_MAX_LINE = 1024 * 1024

_log = structlog.get_logger(__name__)


class StoreHeld(Exception):
    """Another process has the data open."""


async def serve(config: Config, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop`. Raises EngineMissing, EngineError and StoreHeld."""
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(config):
        engine = await asyncio.to_thread(Engine, config.folder / "data", await asyncio.to_thread(_options, config))
        applied = await asyncio.to_thread(migrate, engine.query)
        version = (await asyncio.to_thread(engine.query, "SELECT version()")).decode().strip()
        _log.info("store is open", engine=version, migrations=applied)
        found = await asyncio.to_thread(engine.query, DAMAGED_PARTS, form="JSONCompactEachRow")
        if parts := damaged_parts([orjson.loads(line) for line in found.splitlines()]):
            _log.error("parts of the store are damaged: rows are missing", parts=[part.name for part in parts])
        await _serve(engine, config, version, stop)
        await asyncio.to_thread(engine.close)
    _log.info("store stopped")


async def _serve(engine: Engine, config: Config, version: str, stop: asyncio.Event) -> None:
    registry = CollectorRegistry()
    metrics = StoreMetrics(registry)
    runner = Runner(engine, config)
    metrics.watch(runner)
    async with AsyncExitStack() as runners:
        owned = await _runner(StoreServer(runner, config, version, metrics, trusted=True), registry, config)
        runners.push_async_callback(owned.cleanup)
        config.socket.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            await web.UnixSite(owned, str(config.socket)).start()
        finally:
            os.umask(before)
        where = {"socket": str(config.socket)}
        if config.host is not None:
            public = await _runner(StoreServer(runner, config, version, metrics, trusted=False), registry, config)
            runners.push_async_callback(public.cleanup)
            await web.TCPSite(public, config.host, config.port).start()
            where["address"] = "{}:{}".format(*public.addresses[0][:2])
        if config.ready_file is not None:
            write_owner_file(config.ready_file, where)
        _log.info("store listens", **where)
        freeze_gc()
        await stop.wait()
        _log.info("store drains")
        runner.stop_queries()
    runner.close()


async def _runner(server: StoreServer, registry: CollectorRegistry, config: Config) -> web.AppRunner:
    app = server.app()

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        max_line_size=_MAX_LINE,
        max_field_size=64 * 1024,
        shutdown_timeout=config.drain,
    )
    await runner.setup()
    return runner


def _options(config: Config) -> dict[str, str]:
    """What the engine is started with: its own defaults are those of a large server."""
    cache = str(min(config.memory // 8, 512 * MIB))
    return {
        **write_access_files(config.folder / "access"),
        "max_server_memory_usage": str(config.memory),
        "mark_cache_size": cache,
        "primary_index_cache_size": cache,
        "index_mark_cache_size": str(64 * MIB),
        "uncompressed_cache_size": "0",
        "max_thread_pool_size": "200",
        "background_pool_size": "2",
        "background_schedule_pool_size": "4",
        "background_common_pool_size": "1",
        "background_fetches_pool_size": "1",
        "background_move_pool_size": "1",
    }


def _held(config: Config) -> IO[str]:
    file = (config.folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StoreHeld(f"another process has {config.folder} open: end it first") from None
    return file
