"""Starts children one after the other, keeps them running, and ends them the other way round."""

import asyncio
from collections.abc import Callable, Sequence

from headgate_cli.child import Child


async def supervise(children: Sequence[Child], stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    """Run the children until `stop`; each is started when those before it serve, and ended after those behind it.

    `on_ready` is called once, when all of them serve. Raises ChildHopeless after ending all of them.
    """
    running: list[tuple[Child, asyncio.Task[None]]] = []
    stopped = asyncio.create_task(stop.wait())
    try:
        for child in children:
            running.append((child, asyncio.create_task(child.run(), name=child.spec.name)))
            serving = asyncio.create_task(child.serving.wait())
            await _first(stopped, serving, *(task for _, task in running))
            serving.cancel()
            if stop.is_set():
                return
        on_ready()
        await _first(stopped, *(task for _, task in running))
    finally:
        stopped.cancel()
        for child, task in reversed(running):
            child.stop()
            await asyncio.wait({task})


async def _first(*tasks: "asyncio.Task[None] | asyncio.Task[bool]") -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
