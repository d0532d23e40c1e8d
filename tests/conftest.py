"""Fixtures of every suite: a real Redis, run exactly as `headgate up` runs its own."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis as redis_sync
import redis.asyncio as redis_async
from headgate_cli.embedded_redis import EmbeddedRedis, find_server


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's name, which pytest's own tmp_path may not."""
    folder = Path(tempfile.mkdtemp(prefix="hg-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="hg-redis-"))
    embedded = EmbeddedRedis(folder, max_memory="512mb")
    server = find_server()
    embedded.prepare(server)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            embedded.command(server), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        ends = time.monotonic() + 20
        while not embedded.answers():
            if process.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"redis-server did not start: {(folder / 'log').read_text()}")
            time.sleep(0.02)
        yield embedded.url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """The URL of a real, durable and empty Redis."""
    with redis_sync.Redis.from_url(_redis_server) as client:
        client.flushall()
        client.script_flush()
        client.config_resetstat()
    return _redis_server


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[redis_async.Redis]:
    """A client of `redis_url`; replies are bytes."""
    client = redis_async.Redis.from_url(redis_url)
    yield client
    await client.aclose()
