"""Starts children one after the other, keeps them running, and ends them one after the other."""

import asyncio
from collections.abc import Callable, Sequence

from headgate_cli.child import Child


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
