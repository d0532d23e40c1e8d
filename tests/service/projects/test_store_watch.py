"""How often a store is looked at that cannot be."""

import asyncio
from typing import Any

import pytest
from headgate_service.projects import store_watch
from headgate_service.projects.store_watch import SECONDS, StoreWatch, StoreWatchMetrics
from headgate_service.store.client import QueryRefused
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs


class Closed:
    """A store that lets nobody look."""

    def __init__(self) -> None:
        self.said = "Not enough privileges"

    async def parts(self) -> list[Any]:
        raise QueryRefused(497, self.said)


async def test_a_store_that_does_not_tell_is_asked_less_often_and_named_once(monkeypatch: pytest.MonkeyPatch):
    unused: Any = None
    damage: Any = Closed()
    watch = StoreWatch(damage, unused, unused, unused, list, lambda: 0, StoreWatchMetrics(CollectorRegistry()))
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            damage.said = "no answer"
        if len(pauses) == 8:
            raise asyncio.CancelledError

    monkeypatch.setattr(store_watch.asyncio, "sleep", sleep)
    with capture_logs() as entries, pytest.raises(asyncio.CancelledError):
        await watch.run()
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert pauses[-1] == SECONDS
    assert [entry["error"] for entry in entries] == ["Not enough privileges", "no answer"]
    assert watch.state.whole
