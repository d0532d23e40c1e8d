"""A faulty network to a Redis of one's own: what was done without an answer is done once all the same."""

from pathlib import Path
from random import Random

import pytest

from tests.faults.proxy import ExternalRedis, Proxy, draw
from tests.faults.world import World


@pytest.mark.timeout(3600)
async def test_network_faults(short_dir: Path, seed: int, rounds) -> None:  # type: ignore[no-untyped-def]
    with ExternalRedis.running(short_dir / "redis") as redis:
        proxy = Proxy(redis.socket)
        async with (
            proxy.serving() as url,
            World.make(short_dir, seed, settings=f'[redis]\nurl = "{url}"') as world,
        ):
            await world.start()
            await world.suffer(draw(Random(seed), proxy, redis, rounds(3)))
            await world.settle()
