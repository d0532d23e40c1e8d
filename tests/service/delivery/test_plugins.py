"""Strangers' plugins in a forwarder: installed as packages are, and found by their entry points."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from headgate_service.delivery.observers import Observers
from headgate_service.model.route import Route
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import shard_keys
from headgate_sinks import Misconfigured, Reject, Result, Retry
from headgate_sinks.sdk.host import Plugin

SOME = """
from headgate_sinks import Config, Result, Retry, Sink, hookimpl

writes = []
answers = []
secrets = []


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


def keys(project: str) -> str:
    return shard_keys(sum(project.encode()) % 64).project(project).cursors


def plugged(use: str, **config: Any) -> SinkSpec:
    return SinkSpec(name=f"my-{use}", use=use, settings={"max_age": 0.01, **config})


async def test_a_retry_of_some_events_loses_none(rig, producer, install):
    some = install("some", SOME)
    some.answers.append(Retry("the others are written", events=(1,)))
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(plugged("some"))):
        await rig.eventually(lambda: len(some.writes) >= 2, "the second write")
        await producer.append("a", 1)
        await rig.eventually(lambda: some.writes[-1][1] == ["a/3"], "what came later")
    assert [names for _, names in some.writes] == [["a/0", "a/1", "a/2"], ["a/1"], ["a/3"]]
    assert len({batch for batch, _ in some.writes}) == 3


async def test_what_remains_of_a_batch_stays_the_same_over_restarts_and_is_counted_once(
    rig, producer, install, redis, balanced
):
    # Both are of one shard, and so in one batch.
    some = install("some", SOME)
    some.answers += [Retry(events=(1, 4, 5)), *(Retry("not yet") for _ in range(200))]
    await producer.append("ac", 4)
    await producer.append("bb", 4)
    sink = replace(plugged("some", max_age=0.3), route=Route('!event.name.endsWith("0")'))
    async with rig.forwarding(rig.config(sink, drain=0.1)):
        await rig.eventually(lambda: len(some.writes) >= 3, "the rest, again")
        await balanced("my-some")
    before = len(some.writes)
    some.answers[:] = [Retry(events=(2,)), Result((Reject((0,), "no", "never"),))]
    async with rig.forwarding(rig.config(sink)):
        await producer.append("ac", 1)
        await rig.eventually(lambda: some.writes[-1][1] == ["ac/4"], "what came later")

        async def settled():
            return (await redis.hget(keys("ac"), "c:my-some")).split()[1] == b"5"

        await rig.eventually(settled, "the cursor")
        await balanced("my-some")
    first = some.writes[0][1]
    rest = [first[place] for place in (1, 4, 5)]
    assert all(write == some.writes[1] for write in some.writes[1:before])
    assert some.writes[before] == some.writes[1]
    assert [names for _, names in some.writes[before:]] == [rest, [rest[2]], ["ac/4"]]
    counts = [
        await redis.hmget(keys(one), "delivered:my-some", "filtered:my-some", "dead:my-some") for one in ("ac", "bb")
    ]
    assert sum(int(value or 0) for value in [row[0] for row in counts]) == 6
    assert [row[1] for row in counts] == [b"1", b"1"]
    assert sum(int(row[2] or 0) for row in counts) == 1


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


WATCHING = """
import threading
from headgate_sinks import hookimpl

seen = []
threads = set()
release = threading.Event()
release.set()


@hookimpl
def headgate_batch_settled(sink, batch_id, delivered, dead, attempts):
    threads.add(threading.current_thread())
    release.wait(30)
    seen.append((sink, batch_id, delivered, dead, attempts))


@hookimpl
def headgate_sink_state_changed(sink, state, previous, error):
    seen.append((sink, state, previous, error))
"""

RAISING = """
from headgate_sinks import hookimpl

calls = []


@hookimpl
def headgate_batch_settled(sink):
    calls.append(sink)
    raise SystemExit("no such dashboard")
"""


async def test_headgate_batch_settled_is_told_what_became_of_each_batch(rig, producer, install):
    some, watching = install("some", SOME), install("watching", WATCHING)
    some.answers += [Retry("once", after=0.05), Result((Reject((2,), "odd", "odd"),))]
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(plugged("some"), plugins=("watching",))):
        await rig.eventually(lambda: any(len(call) == 5 for call in watching.seen), "the call")
    settled = [call for call in watching.seen if len(call) == 5]
    assert settled == [("my-some", some.writes[1][0], 2, 1, 2)]
    assert watching.threads.isdisjoint({threading.current_thread()})


async def test_headgate_sink_state_changed_is_told_each_change_with_its_reason(rig, producer, install):
    some, watching = install("some", SOME), install("watching", WATCHING)
    some.answers += [Retry("once", after=0.05), Misconfigured("mend it")]
    await producer.append("a", 3)
    lost = SinkSpec(name="lost", use="lost")
    async with rig.forwarding(rig.config(plugged("some"), lost, plugins=("watching",))):
        await rig.eventually(lambda: any(len(call) == 5 for call in watching.seen), "the end")
    states = [call for call in watching.seen if len(call) == 4]
    assert states[0][:3] == ("lost", "BROKEN", "")
    assert "no installed package" in states[0][3]
    assert states[1:4] == [
        ("my-some", "RETRYING", "RUNNING", "once"),
        ("my-some", "PAUSED", "RETRYING", "mend it"),
        ("my-some", "RUNNING", "PAUSED", ""),
    ]


async def test_a_hook_that_raises_or_hangs_harms_neither_delivery_nor_other_plugins(rig, producer, install):
    some, raising, watching = install("some", SOME), install("raising", RAISING), install("watching", WATCHING)
    watching.release.clear()
    async with rig.forwarding(rig.config(plugged("some"), plugins=("raising", "watching", "absent"))):
        for number in range(3):
            await producer.append("a", 1)
            await rig.eventually(lambda number=number: len(some.writes) > number, "delivery beside the plugins")
        assert not watching.seen
        watching.release.set()
        await rig.eventually(lambda: len([c for c in watching.seen if len(c) == 5]) == 3, "the other plugin")
    assert raising.calls == ["my-some"] * 3


def test_what_waits_for_a_plugin_is_bounded(install):
    watching = install("watching", WATCHING)
    watching.release.clear()
    observers = Observers([Plugin("watching", watching)], most_waiting=2)
    for number in range(10):
        observers.batch_settled(sink="x", batch_id=str(number), delivered=1, dead=0, attempts=1)
    watching.release.set()
    observers.close(10)
    told = [int(call[1]) for call in watching.seen]
    # Which were left out depends on when the thread took the first one; the order never does.
    assert 2 <= len(told) <= 3
    assert told == sorted(told)
    assert told[0] == 0


async def test_a_secret_is_resolved_by_a_plugin_before_a_sink_is_opened(rig, producer, install):
    some = install("some", SOME.replace("    async def write", KEEP_SECRET + "    async def write"))
    install("vault", VAULT)
    await producer.append("a", 1)
    async with rig.forwarding(rig.config(plugged("some"), plugins=("vault",))):
        await rig.eventually(lambda: some.writes, "the write")
    assert some.secrets == ["from the vault"]


KEEP_SECRET = """
    async def open(self):
        secrets.append(self.place.secret("vault:x"))

"""

VAULT = """
from headgate_sinks import hookimpl


@hookimpl
def headgate_resolve_secret(reference):
    return "from the vault" if reference == "vault:x" else None
"""
