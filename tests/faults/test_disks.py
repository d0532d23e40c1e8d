"""Power cuts and full disks: what was acknowledged is on the disk, and `up` starts on whatever is there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.disk import Disk, DiskFull, PowerCut, why_no_disk
from tests.faults.process_faults import Kill
from tests.faults.world import World


@pytest.fixture
def make_disk(short_dir: Path) -> Iterator[Callable[[str], Disk]]:
    if reason := why_no_disk():
        pytest.skip(reason)
    made: list[Disk] = []

    def make(size: str) -> Disk:
        made.append(Disk(short_dir, size))
        made[-1].mount()
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


@pytest.mark.timeout(3600)
async def test_power_cuts(short_dir: Path, seed: int, rounds, make_disk) -> None:  # type: ignore[no-untyped-def]
    """The first within seconds of the first start; where there is a store, every second one just after a merge."""
    disk = make_disk("2G")
    random = Random(seed)
    store = random.random() < 0.7
    async with World.make(short_dir, seed, data_dir=disk.folder / "data", store=store) as world:
        await world.start()
        await world.wait(random.choice([0, 0.2, 1, 3]))
        await world.strike(PowerCut(disk))
        await world.suffer([PowerCut(disk, after_merge=store and number % 2 == 0) for number in range(rounds(2) - 1)])
        await world.settle()


@pytest.mark.timeout(3600)
async def test_full_disks(short_dir: Path, seed: int, rounds, make_disk) -> None:  # type: ignore[no-untyped-def]
    disk = make_disk("1G")
    random = Random(seed)
    async with World.make(short_dir, seed, data_dir=disk.folder / "data", store=seed % 2 == 0) as world:
        await world.start()
        for _ in range(rounds(1)):
            await world.suffer([DiskFull(disk, round(random.uniform(0.5, 10), 1))])
            if random.random() < 0.3:
                await world.suffer([Kill(random.choice(("redis", "service", "forwarder")))])
        await world.settle()
