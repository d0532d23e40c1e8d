"""Killed, stopped and restarted processes and failing targets: nothing acknowledged is lost or doubled."""

from pathlib import Path
from random import Random

import pytest

from tests.faults.process_faults import draw
from tests.faults.world import World

PROCESSES = ("gateway", "service", "forwarder", "redis")


@pytest.mark.timeout(3600)
async def test_process_faults(short_dir: Path, seed: int, rounds) -> None:  # type: ignore[no-untyped-def]
    async with World.make(short_dir, seed) as world:
        await world.start()
        await world.suffer(draw(Random(seed), PROCESSES, rounds(4)))
        await world.settle()


@pytest.mark.timeout(3600)
async def test_process_faults_with_a_store(short_dir: Path, seed: int, rounds) -> None:  # type: ignore[no-untyped-def]
    async with World.make(short_dir, seed, store=True) as world:
        await world.start()
        await world.suffer(draw(Random(seed), (*PROCESSES, "store", "store"), rounds(2)))
        await world.settle()
