"""Third-party sinks that misbehave: nobody else notices, and nothing is lost."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from headgate.v1 import event_pb2
from headgate_service.model.sink import SinkSpec
from headgate_service.redis.keys import SHARDS, shard_keys

SECRET = "whsec_" + "c2VjcmV0" * 4

STRANGE = """
import asyncio, ctypes, os, sys, time
from pathlib import Path

from headgate_sinks import Config, Result, Sink, Spec, hookimpl
from pydantic import SecretStr


class StrangeConfig(Config):
    does: str = "write"
    secret: SecretStr = SecretStr("")


class StrangeSink(Sink[StrangeConfig]):
    use = "strange"
    Config = StrangeConfig

    def __init__(self, config, place):
        super().__init__(config, place)
        self.spec = Spec(write_seconds=1.0 if config.does == "linger" else 60.0)
        self.folder = place.data_dir / place.name
        self.folder.mkdir(exist_ok=True)

    async def write(self, batch):
        (self.folder / "began").touch()
        self.names = [event.name for event in batch.events]
        if not (self.folder / "cured").exists():
            await getattr(self, self.config.does)()
        with (self.folder / "taken").open("a") as taken:
            for event in batch.events:
                taken.write(f"{batch.id} {event.project_id} {event.name}\\n")
        return Result()

    async def linger(self):
        await asyncio.sleep(3600)

    async def block(self):
        while True:
            pass

    async def sleep(self):
        time.sleep(3600)

    async def leave(self):
        os._exit(3)

    async def crash(self):
        ctypes.string_at(0)

    async def interrupt(self):
        raise SystemExit("enough")

    async def eat(self):
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * (1 << 20)))
            await asyncio.sleep(0)

    async def hoard(self):
        self.hoarded = bytearray(b"x" * (400 << 20))
        await asyncio.sleep(3600)

    async def chatter(self):
        print("to the operator", flush=True)
        while True:
            print("x" * 1000)

    async def write_(self):
        pass

    async def choke(self):
        # On every event that is called a/2.
        if "a/2" in self.names:
            os._exit(4)


@hookimpl
def headgate_register_sinks():
    return [StrangeSink]
"""


class Neighbour:
    """What a strange sink did, by the files that it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def began(self) -> bool:
        return (self.folder / "began").exists()

    def cure(self) -> None:
        (self.folder / "cured").touch()

    def taken(self) -> dict[str, list[str]]:
        """The names of the events by project, each batch once."""
        batches: dict[str, list[str]] = {}
        found: dict[str, list[str]] = {}
        path = self.folder / "taken"
        for line in path.read_text().splitlines() if path.exists() else []:
            batch, project, name = line.split(" ", 2)
            if name not in batches.setdefault(batch, []):
                batches[batch].append(name)
                found.setdefault(project, []).append(name)
        return found


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Installs a package with one module under the entry point of the same name, where this process and those that it
    starts find it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))

    def install(name: str, source: str) -> None:
        module = f"isolated_{name}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[headgate.sinks.v1]\n{name} = {module}\n")

    return install


@pytest.fixture
def neighbour(tmp_path) -> Neighbour:
    return Neighbour(tmp_path / "odd")


def strange(does: str = "write_", *, memory: int | None = None, **settings: Any) -> SinkSpec:
    return SinkSpec(name="odd", use="strange", settings={"max_age": 0.01, "does": does, **settings}, memory=memory)


async def status(redis: Any) -> dict[str, str]:
    found = await redis.hgetall("headgate:sink:odd:status")
    return {key.decode(): value.decode() for key, value in found.items()}


async def said(redis: Any, state: str, words: str) -> bool:
    found = await status(redis)
    return found.get("state") == state and words in found["last_error"]


async def test_a_third_party_sink_delivers_from_its_own_process(rig, producer, redis, install, neighbour):
    install("strange", STRANGE)
    for _ in range(5):
        await producer.append("a", 3)
        await producer.append("b", 2)
    async with rig.forwarding(rig.config(rig.jsonl(), strange(), isolate=True)):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
        assert (await status(redis))["state"] == "RUNNING"
    assert "isolated_strange" not in sys.modules


BEHAVIOURS = {
    "linger": ("RETRYING", "did not finish within 1 s"),
    "block": ("RETRYING", "event loop did not run"),
    "sleep": ("RETRYING", "event loop did not run"),
    "leave": ("RETRYING", "exit status 3"),
    "crash": ("RETRYING", "signal SIGSEGV"),
    "interrupt": ("RETRYING", "exit status 1"),
    "eat": ("RETRYING", ""),
    "hoard": ("RETRYING", "more than its `memory` of 256 MiB"),
    "chatter": ("RETRYING", "event loop did not run"),
}


@pytest.mark.parametrize("does", BEHAVIOURS)
async def test_what_one_sink_does_no_other_notices(rig, producer, redis, install, neighbour, does):
    install("strange", STRANGE)
    state, words = BEHAVIOURS[does]
    sink = strange(does, memory=256 << 20)
    async with rig.forwarding(rig.config(rig.jsonl(), sink, isolate=True, plugin_silence=2.0)):
        await producer.append("a", 3)
        await rig.eventually(lambda: neighbour.began, "the strange sink to be written to")
        for number in range(20):
            await producer.append("ab"[number % 2], 2)
        await rig.eventually(lambda: rig.lines() == producer.sent, "delivery to the other sink")
        assert neighbour.taken() == {}
        await rig.eventually(lambda: said(redis, state, words), f"{state}: {words}")
        await producer.append("b", 2)
        await rig.eventually(lambda: rig.lines() == producer.sent, "delivery to the other sink again")
        assert neighbour.taken() == {}
        neighbour.cure()
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "all of it, once it is cured")
    assert rig.lines() == producer.sent


IMPORTS = {
    "raises": ("raise RuntimeError('no such luck')", "no such luck"),
    "exits": ("import os\nos._exit(5)", "exit status 5"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "signal SIGSEGV"),
    "hangs": ("while True: pass", "did not finish within 2 s"),
    "registers nothing": ("", "registers no sink"),
}


@pytest.mark.parametrize("how", IMPORTS)
async def test_a_plugin_that_cannot_be_loaded_is_broken_and_alone(rig, producer, redis, install, neighbour, how, capfd):
    source, words = IMPORTS[how]
    install("strange", source)
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(rig.jsonl(), strange(), isolate=True, plugin_load=2.0)):
        await rig.eventually(lambda: said(redis, "BROKEN", words), "it to be broken")
        await producer.append("a", 3)
        await rig.eventually(lambda: rig.lines() == producer.sent, "delivery to the other sink")
    if how == "raises":
        assert "RuntimeError: no such luck" in capfd.readouterr().out
    assert "isolated_strange" not in sys.modules


async def test_a_mended_plugin_goes_on_where_it_was(rig, producer, redis, install, neighbour, tmp_path):
    install("strange", "raise RuntimeError('half an upgrade')")
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(strange(), isolate=True)):
        await rig.eventually(lambda: said(redis, "BROKEN", "half an upgrade"), "it to be broken")
        (tmp_path / "site" / "isolated_strange.py").write_text(STRANGE)
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
        await rig.eventually(lambda: said(redis, "RUNNING", ""), "it to be well")


async def test_secrets_cross_the_pipe_only(rig, producer, install, neighbour, capfd):
    looks = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        seen = Path("/proc/self/cmdline").read_bytes() + Path("/proc/self/environ").read_bytes()
        (self.folder / "seen").write_bytes(seen)
        (self.folder / "secret").write_text(self.place.secret(self.config.secret) + os.environ.get("PWD", ""))""",
    )
    install("strange", looks)
    await producer.append("a", 1)
    config = rig.config(strange(secret="env:ODD_SECRET"), isolate=True, environment={"ODD_SECRET": "s3cr3t-value"})
    async with rig.forwarding(config):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    assert (neighbour.folder / "secret").read_text().startswith("s3cr3t-value")
    assert b"s3cr3t-value" not in (neighbour.folder / "seen").read_bytes()
    printed = capfd.readouterr()
    assert "s3cr3t-value" not in printed.out + printed.err


async def test_the_variables_of_headgate_itself_are_no_plugins_business(rig, producer, install, neighbour, monkeypatch):
    looks = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        (self.folder / "seen").write_text("\\n".join(sorted(os.environ)) + os.environ["ANOTHER"])""",
    )
    install("strange", looks)
    for own in ("HEADGATE_REDIS_URL", "HEADGATE_SECRETS_KEY", "HEADGATE_STORE_URL", "SOMEBODYS_TOKEN"):
        monkeypatch.setenv(own, "unix:///secret")
    monkeypatch.setenv("ANOTHER", "a plugin's own")
    await producer.append("a", 1)
    config = rig.config(strange(), isolate=True, plugin_environment=("ANOTH*", "HEADGATE_*"))
    async with rig.forwarding(config):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    seen = (neighbour.folder / "seen").read_text()
    assert seen.endswith("a plugin's own")
    for own in ("HEADGATE_REDIS_URL", "HEADGATE_SECRETS_KEY", "HEADGATE_STORE_URL", "SOMEBODYS_TOKEN"):
        assert own not in seen
    assert {"PATH", "PYTHONPATH"} <= set(seen.split("\n"))


async def test_secrets_are_taken_out_of_what_a_plugin_says(rig, producer, install, neighbour, capfd):
    tells = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        secret = self.place.secret(self.config.secret)
        os.write(1, f"by descriptor {secret}\\n".encode())
        print("printed", [secret], file=sys.stderr)
        if not (self.folder / "told").exists():
            (self.folder / "told").touch()
            raise RuntimeError(f"cannot reach https://x/?key={secret}")""",
    )
    install("strange", tells)
    await producer.append("a", 1)
    config = rig.config(strange(secret="env:ODD_SECRET"), isolate=True, environment={"ODD_SECRET": "s3cr3t-'value"})
    async with rig.forwarding(config):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    written = capfd.readouterr()
    assert "s3cr3t" not in written.out + written.err
    for words in ("by descriptor [secret]", "[secret]", "https://x/?key=[secret]"):
        assert words in written.out + written.err


async def test_what_a_plugin_prints_is_logged_with_its_sinks_name(rig, producer, install, neighbour, capfd):
    prints = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        print("three", "words")
        print("and an error", file=sys.stderr)
        assert sys.stdin.read() == \"\"""",
    )
    install("strange", prints)
    await producer.append("a", 1)
    async with rig.forwarding(rig.config(strange(), isolate=True)):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    lines = [line for line in capfd.readouterr().out.splitlines() if "plugin printed" in line]
    assert any("three words" in line and "odd" in line and "stdout" in line for line in lines)
    assert any("and an error" in line and "stderr" in line for line in lines)


async def test_a_killed_forwarder_leaves_no_worker_behind(rig, producer, install, neighbour):
    install(
        "strange",
        STRANGE.replace('(self.folder / "began").touch()', '(self.folder / "began").write_text(str(os.getpid()))'),
    )
    await producer.append("a", 1)
    sink = strange("block")
    plan = {"sinks": [{"name": sink.name, "use": sink.use, "settings": sink.settings}]}
    child = await rig.child(sink, **plan)
    try:
        pid = await rig.eventually(
            lambda: neighbour.began and (neighbour.folder / "began").read_text(), "the write to begin"
        )
        assert state_of(pid) in "RSD"
    finally:
        child.kill()
        await child.wait()
    await rig.eventually(lambda: state_of(pid) == "Z", "the worker to end")


def state_of(pid: str) -> str:
    """As the kernel has it; Z also for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


async def test_a_drained_forwarder_closes_the_sink_and_ends_its_process(rig, producer, install, neighbour):
    closes = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        (self.folder / "pid").write_text(str(os.getpid()))

    async def close(self):
        (self.folder / "closed").touch()""",
    )
    install("strange", closes)
    await producer.append("a", 1)
    async with rig.forwarding(rig.config(strange(), isolate=True)):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    assert (neighbour.folder / "closed").exists()
    assert state_of((neighbour.folder / "pid").read_text()) == "Z"


HOOKS = """
import os
from pathlib import Path

from headgate_sinks import SecretMissing, hookimpl

seen = Path({folder!r}) / "seen"


def see(*what):
    with seen.open("a") as file:
        print(*what, file=file)


@hookimpl
def headgate_batch_settled(sink, delivered, dead):
    see("settled", sink, delivered, dead)


@hookimpl
def headgate_sink_state_changed(sink, state):
    see(sink, state)


@hookimpl
def headgate_resolve_secret(reference):
    if reference == "vault:hook":
        return "{secret}"
    if reference.startswith("vault:"):
        raise SecretMissing("the vault has no " + reference)
"""


async def test_a_strangers_hooks_are_called_in_its_sinks_process(rig, producer, install, neighbour, tmp_path):
    install("strange", STRANGE + HOOKS.format(folder=str(tmp_path), secret=""))
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(rig.jsonl(), strange(), isolate=True)):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
        # One that was told of is known by then; what comes now, in any case.
        await producer.append("a", 2)
        await rig.eventually(lambda: rig.lines() == neighbour.taken() == producer.sent, "delivery")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert {"settled odd 2 0", "settled jsonl 2 0"} <= set(seen)
    assert "isolated_strange" not in sys.modules


async def test_a_plugin_without_sinks_runs_in_a_process_of_its_own_too(rig, producer, target, install, tmp_path):
    install("vault", HOOKS.format(folder=str(tmp_path), secret=SECRET))
    await producer.append("a", 3)
    config = rig.config(rig.webhook(secret="vault:hook"), isolate=True, plugins=("vault",))
    async with rig.forwarding(config):
        await rig.eventually(lambda: target.taken == producer.sent, "delivery")
    assert "settled hook 3 0" in (tmp_path / "seen").read_text()
    assert "isolated_vault" not in sys.modules


async def test_a_strange_sink_has_the_secrets_of_another_plugin(rig, producer, redis, install, neighbour, tmp_path):
    source = STRANGE.replace(
        "    async def write_(self):\n        pass",
        """    async def write_(self):
        (self.folder / "secret").write_text(await asyncio.to_thread(self.place.secret, self.config.secret))""",
    )
    install("strange", source)
    install("vault", HOOKS.format(folder=str(tmp_path), secret="s3cr3t"))
    await producer.append("a", 1)
    async with rig.forwarding(rig.config(strange(secret="vault:hook"), isolate=True, plugins=("vault",))):
        await rig.eventually(lambda: neighbour.taken() == producer.sent, "delivery")
    assert (neighbour.folder / "secret").read_text() == "s3cr3t"
    await producer.append("a", 1)
    async with rig.forwarding(rig.config(strange(secret="vault:absent"), isolate=True, plugins=("vault",))):
        await rig.eventually(lambda: said(redis, "PAUSED", "the vault has no vault:absent"), "it to say so")


@pytest.mark.parametrize("source", ["import os\nos._exit(5)", "while True: pass", "raise RuntimeError('no luck')"])
async def test_a_plugin_without_sinks_that_cannot_be_loaded_is_broken_and_alone(rig, producer, install, source, capfd):
    install("vault", source)
    await producer.append("a", 3)
    async with rig.forwarding(rig.config(rig.jsonl(), isolate=True, plugins=("vault",), plugin_load=2.0)):
        await rig.eventually(lambda: rig.lines() == producer.sent, "delivery")
        printed = ""

        def is_broken():
            nonlocal printed
            printed += capfd.readouterr().out
            return "plugin is broken" in printed

        await rig.eventually(is_broken, "it to be broken")


async def test_an_event_that_crashes_its_plugin_each_time_is_found_and_given_up(
    rig, producer, redis, install, neighbour, balanced
):
    install("strange", STRANGE)
    odd = SinkSpec(name="odd", use="strange", settings={"does": "choke", "max_age": 0.2})
    keys = shard_keys(ord("a") % SHARDS).project("a")
    async with rig.forwarding(rig.config(odd, rig.jsonl(), isolate=True)):
        await producer.append("a", 4)
        # In another shard, and so in the process at the same time.
        await producer.append("b", 5)

        async def given_up():
            return await redis.hget(keys.cursors, "dead:odd") == b"1"

        await rig.eventually(given_up, "the event given up")
        await producer.append("a", 1)
        expected = {"a": [name for name in producer.sent["a"] if name != "a/2"], "b": producer.sent["b"]}
        await rig.eventually(lambda: neighbour.taken() == expected, "all the others")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"code"], event_pb2.Event.FromString(letter[b"event"]).name) == (b"plugin_crashed", "a/2")
    assert b"exit status 4" in letter[b"message"]
    await balanced("odd", "jsonl")


@pytest.mark.parametrize("how", ["unknown plugin", "wrong config", "no plugin of ours"])
async def test_the_backlog_of_a_broken_sink_expires(rig, producer, redis, install, how, balanced):
    """Whatever keeps it from writing; and one that refuses keeps everything."""
    install("strange", STRANGE)
    broken = {
        "unknown plugin": SinkSpec(name="odd", use="missing", when_full="expire"),
        "wrong config": SinkSpec(name="odd", use="strange", settings={"no_such": 1}),
        "no plugin of ours": SinkSpec(name="odd", use="webhook", settings={}),
    }[how]
    kept = replace(broken, name="kept", when_full="refuse")
    keys = shard_keys(ord("a") % SHARDS).project("a")
    async with rig.forwarding(rig.config(broken, kept, rig.jsonl(), isolate=True, backlog_bytes=4000)):
        for _ in range(60):
            await producer.append("a", 1, padding=50)

        async def within():
            use = int(await redis.hget(keys.use, "bytes"))
            return use - int(((await redis.hget(keys.cursors, "c:odd")) or b"0-0 0 0").split()[2]) <= 4000

        await rig.eventually(within, "the backlog within its bound")
        await rig.eventually(lambda: rig.lines() == producer.sent, "the files")
        assert int(await redis.hget(keys.cursors, "dead:odd")) > 0
        assert await redis.hget(keys.cursors, "c:kept") is None
    letters = [fields for _, fields in await redis.xrange(keys.dead)]
    assert {(letter[b"sink"], letter[b"code"]) for letter in letters} == {(b"odd", b"backlog_expired")}
    await balanced("odd", "kept", "jsonl")
