"""Work on the control DB that is not broken off."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

# Longer than any deadline of the control DB.
_ENDS_SECONDS = 15.0


async def run_uninterrupted(work: Coroutine[Any, Any, _Result]) -> _Result:
    """What it returns. Where the caller is cancelled, the work still ends first, so that it closes its connection."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_ENDS_SECONDS)
        task.cancel()
        raise
