"""Faults of processes: killed, stopped, asked to end."""

import asyncio
import os
import signal
from dataclasses import dataclass
from random import Random

from tests.faults.family import running
from tests.faults.target import Outage
from tests.faults.world import Fault, World


@dataclass(frozen=True)
class Kill:
    """kill -9 of one process, which `up` starts again."""

    process: str

    async def strike(self, world: World) -> None:
        if (pid := world.headgate.pid(self.process)) is None:
            return
        os.kill(pid, signal.SIGKILL)
        await world.until(lambda: world.headgate.pid(self.process) not in (None, pid), f"{self.process} runs again")


@dataclass(frozen=True)
class KillUp:
    """kill -9 of `up` alone: its children notice."""

    async def strike(self, world: World) -> None:
        assert world.headgate.process is not None
        world.headgate.process.kill()
        await asyncio.to_thread(world.headgate.process.wait)


@dataclass(frozen=True)
class KillAll:
    """kill -9 of every process at once."""

    async def strike(self, world: World) -> None:
        await world.killed()


@dataclass(frozen=True)
class KillInStart:
    """kill -9 of every process, and again so many seconds after each new start."""

    after: tuple[float, ...]

    async def strike(self, world: World) -> None:
        await world.killed()
        for seconds in self.after:
            world.headgate.spawn()
            await asyncio.sleep(seconds)
            await world.killed()


@dataclass(frozen=True)
class Freeze:
    """SIGSTOP of one process, and SIGCONT after so many seconds."""

    process: str
    seconds: float

    async def strike(self, world: World) -> None:
        if (pid := world.headgate.pid(self.process)) is None:
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            if running(pid):
                os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class FreezeAll:
    """SIGSTOP of every process, and SIGCONT in any order."""

    seconds: float

    async def strike(self, world: World) -> None:
        stopped = world.freeze()
        await asyncio.sleep(self.seconds)
        world.random.shuffle(stopped)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(world.random.random() / 5)


@dataclass(frozen=True)
class Terminate:
    """SIGTERM of `up`, which must end in order."""

    async def strike(self, world: World) -> None:
        assert await asyncio.to_thread(world.headgate.stop) == 0


@dataclass(frozen=True)
class TargetOutage:
    """The webhook's target fails for so many seconds, and with it perhaps the one who waits for it."""

    outage: Outage
    seconds: float
    kill_forwarder: bool = False

    async def strike(self, world: World) -> None:
        world.target.begin(self.outage)
        try:
            await asyncio.sleep(self.seconds)
            if self.kill_forwarder:
                await Kill("forwarder").strike(world)
        finally:
            world.target.end()


def draw(random: Random, processes: tuple[str, ...], rounds: int) -> list[Fault]:
    """So many faults. Each kind comes once before one comes a second time."""
    outages: tuple[Outage, ...] = ("error", "reset", "silence", "taken")

    def deck() -> list[Fault]:
        # Past the lease of a shard (10 s) now and then, and past the silence that `up` bears (30 s).
        frozen = [Freeze(one, random.choice([0.3, 1.0, 1.0, 4.0, 12.0, 34.0])) for one in random.sample(processes, 2)]
        faults: list[Fault] = [
            *(Kill(process) for process in processes),
            KillUp(),
            KillAll(),
            KillInStart(tuple(round(random.uniform(0.1, 6), 2) for _ in range(random.choice([1, 2, 3])))),
            *frozen,
            FreezeAll(round(random.uniform(0.2, 12), 1)),
            Terminate(),
            Terminate(),
            TargetOutage(random.choice(outages), round(random.uniform(0.5, 8), 1)),
            TargetOutage(random.choice(outages), round(random.uniform(0.5, 8), 1), kill_forwarder=True),
        ]
        random.shuffle(faults)
        return faults

    drawn: list[Fault] = []
    while len(drawn) < rounds:
        drawn += deck()
    return drawn[:rounds]
