"""How plugins are found: only those that are named, and none that fails stops another."""

import asyncio
import re
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import headgate_sinks
import pytest
from headgate.v1 import event_pb2
from headgate_sinks import ENTRY_POINTS, Batch, Config, Place, Result, Sink, hookimpl
from headgate_sinks.jsonl.sink import JsonlSink
from headgate_sinks.sdk.host import load
from headgate_sinks.webhook import WebhookSink


class NullSink(Sink[Config]):
    use = "null"
    Config = Config

    async def write(self, batch):
        return Result()


def plugin(name: str, register) -> EntryPoint:
    module = types.ModuleType(name)
    module.headgate_register_sinks = hookimpl(register)
    sys.modules[name] = module
    return EntryPoint("null", name, ENTRY_POINTS)


def fail():
    raise RuntimeError("no licence")


def test_the_built_in_sinks_are_installed_as_a_strangers_are():
    loaded = load(["jsonl", "webhook", "jsonl"])
    assert loaded.sinks == {"jsonl": JsonlSink, "webhook": WebhookSink}
    assert not loaded.broken


def test_a_plugin_is_loaded_where_it_is_named_and_nowhere_else():
    asked = []

    def find(use):
        asked.append(use)
        return [plugin("good_plugin", lambda: [NullSink])]

    assert load(["null"], find).sinks == {"null": NullSink}
    assert asked == ["null"]


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "no installed package"),
        ([EntryPoint("null", "no_such_module", ENTRY_POINTS)], "no_such_module"),
        ([plugin("failing_plugin", fail)], "no licence"),
        ([plugin("leaving_plugin", lambda: sys.exit(3))], "SystemExit"),
        ([plugin("other_plugin", lambda: [JsonlSink])], "registers no sink"),
        ([plugin("odd_plugin", lambda: None)], "registers no sink"),
        ([plugin("first_plugin", lambda: [NullSink]), plugin("second_plugin", lambda: [NullSink])], "several"),
    ],
)
def test_a_plugin_that_fails_is_reported_and_stops_no_other(points, reason):
    good = plugin("good_plugin", lambda: [NullSink])
    loaded = load(["bad", "null"], lambda use: points if use == "bad" else [good])
    assert loaded.sinks == {"null": NullSink}
    assert reason in loaded.broken["bad"].reason


def test_a_plugin_that_raises_is_reported_with_its_traceback():
    broken = load(["null"], lambda use: [plugin("failing_plugin", fail)]).broken["null"]
    assert "in fail" in broken.details


def test_each_public_name_is_there():
    assert all(hasattr(headgate_sinks, name) for name in headgate_sinks.__all__)


async def test_the_guides_sink_works(tmp_path):
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "writing-a-sink.md").read_text()
    module = types.ModuleType("guide_plugin")
    exec(re.search(r"```python\n(.*?)```", guide, re.DOTALL)[1], vars(module))  # noqa: S102 - our own page
    sys.modules["guide_plugin"] = module
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(reader, writer):
        received.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    kind = load(["tcp"], lambda use: [EntryPoint("tcp", "guide_plugin", ENTRY_POINTS)]).sinks["tcp"]
    config = kind.Config(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    sink = kind(config, Place("tcp", tmp_path, lambda: 0.0))
    await sink.check()
    assert await sink.write(Batch("id", "e", 0, 1, 0, [event_pb2.Event(name="a")])) == Result()
    assert await asyncio.wait_for(received, 10) == b'{"name":"a"}\n'
    server.close()
