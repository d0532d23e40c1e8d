"""One life of a plugin's process: what is asked of it, given up, and ended."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headgate.v1 import event_pb2, plugin_pb2
from headgate_service.delivery.plugin_worker.channel import outcome_of, write_of
from headgate_service.delivery.plugin_worker.process import WorkerEnded, WorkerProcess
from headgate_sinks import Batch, Result

PLUGIN = '''
import asyncio, os, subprocess, sys, time
from pathlib import Path

from headgate_sinks import Config, Result, Sink, SyncSink, hookimpl


class ToldSink(Sink[Config]):
    """Does what the first event's name says."""

    use = "told"
    Config = Config

    async def write(self, batch):
        what, _, more = batch.events[0].name.partition(" ")
        await getattr(self, what)(more)
        return Result()

    async def take(self, more):
        pass

    async def sleep(self, more):
        Path(more).touch()
        await asyncio.sleep(3600)

    async def block(self, more):
        Path(more).touch()
        time.sleep(3600)

    async def defy(self, more):
        Path(more).touch()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def spawn(self, more):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        Path(more).write_text(str(child.pid))
        os._exit(0)

    async def garble(self, more):
        for fd in range(3, 20):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    os.write(fd, b"x" * 100)
            except OSError:
                pass
        await asyncio.sleep(3600)


class StuckSink(SyncSink[Config]):
    use = "stuck"
    Config = Config

    def write(self, batch):
        time.sleep(3600)


@hookimpl
def headgate_register_sinks():
    return [ToldSink, StuckSink]
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    info = tmp_path / "told-1.0.dist-info"
    info.mkdir()
    (tmp_path / "told_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: told\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.sinks.v1]\ntold = told_plugin\nstuck = told_plugin\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


class Running:
    def __init__(self, process: WorkerProcess, ended: "asyncio.Task[str]") -> None:
        self.process = process
        self.ended = ended

    async def write(self, what: str, seconds: float = 20.0) -> object:
        batch = Batch("id", "epoch", 1, 1, 1, [event_pb2.Event(name=what)])
        answer = await self.process.call(plugin_pb2.PluginRequest(write=write_of(batch)), seconds)
        return outcome_of(answer.outcome)


async def started(use: str) -> Running:
    process = await WorkerProcess.start(use, None, 30.0)
    ended = asyncio.create_task(process.run())
    setup = plugin_pb2.PluginSetup(use=use, name=use, data_dir="/nowhere")
    assert (await process.call(plugin_pb2.PluginRequest(setup=setup), 30)).HasField("description")
    return Running(process, ended)


@pytest.fixture
async def told(site: Path) -> AsyncIterator[Running]:
    running = await started("told")
    yield running
    running.process.end("the test is over")
    await running.ended


async def until(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC240
            await asyncio.sleep(0.02)


async def test_a_write_that_is_given_up_ends_and_the_process_goes_on(told: Running, tmp_path: Path) -> None:
    write = asyncio.create_task(told.write(f"sleep {tmp_path / 'began'}"))
    await until(tmp_path / "began")
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert await told.write("take") == Result()


@pytest.mark.parametrize("what", ["block", "defy"])
async def test_a_write_that_does_not_let_itself_be_given_up_ends_the_process(
    told: Running, tmp_path: Path, what: str
) -> None:
    write = asyncio.create_task(told.write(f"{what} {tmp_path / 'began'}"))
    await until(tmp_path / "began")
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert "given up" in await told.ended
    with pytest.raises(WorkerEnded):
        await told.write("take")


async def test_a_late_write_ends_the_process_and_the_others_in_it(told: Running, tmp_path: Path) -> None:
    other = asyncio.create_task(told.write(f"sleep {tmp_path / 'began'}"))
    await until(tmp_path / "began")
    with pytest.raises(WorkerEnded, match="did not finish within"):
        await told.write(f"sleep {tmp_path / 'late'}", seconds=0.5)
    with pytest.raises(WorkerEnded):
        await other


async def test_a_blocking_sinks_late_write_ends_its_process(site: Path) -> None:
    stuck = await started("stuck")
    with pytest.raises(WorkerEnded, match="did not finish within"):
        await stuck.write("anything", seconds=0.5)
    assert "did not finish" in await stuck.ended


async def test_what_a_plugin_started_ends_with_it(told: Running, tmp_path: Path) -> None:
    with pytest.raises(WorkerEnded, match="exit status 0"):
        await told.write(f"spawn {tmp_path / 'child'}")
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    async with asyncio.timeout(20):
        # Whoever takes over orphans here may not reap them.
        while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":  # noqa: ASYNC240
            await asyncio.sleep(0.02)


async def test_a_process_that_sends_nonsense_is_ended(told: Running) -> None:
    with pytest.raises(WorkerEnded, match="cannot be read"):
        await told.write("garble")


async def test_a_process_that_is_closed_ends_in_order(told: Running) -> None:
    await told.process.close(10)
    assert await told.ended == "the sink's process ended by exit status 0"


async def test_a_process_gives_way_from_its_first_moment():
    own = os.getpriority(os.PRIO_PROCESS, 0)
    process = await WorkerProcess.start("told", None, 30.0)
    running = asyncio.create_task(process.run())
    try:
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(own + 10, 19)
    finally:
        process.end("the test is over")
        await running
