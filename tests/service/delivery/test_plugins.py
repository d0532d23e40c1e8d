"""Strangers' plugins in a forwarder: installed as packages are, and found by their entry points."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from headgate_service.delivery.config import SinkConfig
from headgate_sinks import Retry

SOME = """
from headgate_sinks import Config, Result, Retry, Sink, hookimpl

writes = []
answers = []


class SomeSink(Sink[Config]):
    use = "some"
    Config = Config

    async def write(self, batch):
        writes.append((batch.id, [event.name for event in batch.events]))
        return answers.pop(0) if answers else Result()


@hookimpl
def headgate_register_sinks():
    return [SomeSink]
"""


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[[str, str], Any]:
    """Installs a package with one module, under the entry point of the same name; returns the module."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, source: str) -> Any:
        module = f"installed_{name}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[headgate.sinks.v1]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return __import__(module)

    return install


def plugged(use: str, **config: Any) -> SinkConfig:
    return SinkConfig(name=f"my-{use}", use=use, settings={"max_age": 0.01, **config})


async def test_a_retry_of_some_events_loses_none(rig, producer, install):
    some = install("some", SOME)
    some.answers.append(Retry("the others are written", events=(1,)))
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(plugged("some"))):
        await rig.eventually(lambda: len(some.writes) >= 2, "the second write")
        await producer.append("a", 1)
        await rig.eventually(lambda: some.writes[-1][1] == ["a/3"], "what came later")
    assert some.writes[0][1] == ["a/0", "a/1", "a/2"]
    again = some.writes[1]
    assert again == some.writes[0] or (again[1] == ["a/1"] and again[0] != some.writes[0][0])


@pytest.mark.parametrize("place", [3, -1])
async def test_a_retry_of_events_that_are_not_there_pauses_the_sink(rig, producer, install, redis, place):
    some = install("some", SOME)
    some.answers.append(Retry(events=(place,)))
    await producer.append("a", 3)

    async def said():
        return b"not in the batch" in (await redis.hget("headgate:sink:my-some:status", "last_error") or b"")

    async with rig.forwarding(rig.config(plugged("some"), pause=1.0)):
        await rig.eventually(said, "the state")
        await rig.eventually(lambda: len(some.writes) == 2, "the whole batch again")
    assert some.writes[0] == some.writes[1]
