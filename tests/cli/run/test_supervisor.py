"""The supervisor over real processes, which are tiny stand-ins for Headgate's own."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from headgate_cli.run.child import Backoff, Child, ChildHopeless, ChildSpec
from headgate_cli.run.up import supervise

AT_ONCE = Backoff(first=0.01, longest=0.02)

# Writes what happens to it, a line each, to the file it is given.
STAND_IN = """
import signal, sys, time
name, diary = sys.argv[1:3]
def write(what):
    with open(diary, "a") as file:
        file.write(f"{name} {what}\\n")
def end(*_):
    write("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
write("started")
while True:
    time.sleep(0.05)
"""


class Stage:
    """A folder with a diary that stand-ins write to, and the supervisor that runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.diary.touch()
        self.stop = asyncio.Event()
        self.said_ready = asyncio.Event()

    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines()

    def child(self, name: str, script: str = STAND_IN, ready: bool | None = None, **spec: object) -> Child:
        async def started() -> bool:
            return f"{name} started" in self.lines() if ready is None else ready

        command = (sys.executable, "-c", script, name, str(self.diary))
        return Child(
            ChildSpec(name, command, started, self.folder / f"{name}.pid", **spec),  # type: ignore[arg-type]
            backoff=AT_ONCE,
        )

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def run(self, *children: Child) -> "asyncio.Task[None]":
        return asyncio.create_task(supervise(children, children[::-1], self.stop, self.said_ready.set))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def within(awaitable: Awaitable[object]) -> object:
    async with asyncio.timeout(20):
        return await awaitable


async def test_children_start_and_end_in_order(stage: Stage) -> None:
    running = stage.run(*(stage.child(name) for name in ("redis", "service", "gateway")))
    await within(stage.said_ready.wait())
    stage.stop.set()
    await within(running)
    assert stage.lines() == [
        "redis started",
        "service started",
        "gateway started",
        "gateway ended",
        "service ended",
        "redis ended",
    ]


async def test_a_child_beside_delays_no_other_and_yet_the_ready_line(stage: Stage) -> None:
    opened = stage.folder / "opened"
    store = stage.child("store", beside=True)

    async def ready() -> bool:
        return opened.exists()

    store.spec = replace(store.spec, ready=ready)
    running = stage.run(stage.child("redis"), store, stage.child("service"))
    await until(lambda: "service started" in stage.lines())
    assert not stage.said_ready.is_set()
    opened.touch()
    await within(stage.said_ready.wait())
    stage.stop.set()
    await within(running)


async def test_a_killed_child_is_started_again_and_no_other(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    running = stage.run(stage.child("redis"), stage.child("service"))
    await within(stage.said_ready.wait())
    killed = stage.pid("service")
    os.kill(killed, signal.SIGKILL)
    await until(lambda: stage.lines().count("service started") == 2)
    await until(lambda: (stage.folder / "service.pid").exists() and stage.pid("service") != killed)
    stage.stop.set()
    await within(running)
    assert stage.lines().count("redis started") == 1
    assert "signal SIGKILL" in capfd.readouterr().out


async def test_a_child_that_ends_cleanly_is_started_again_at_once_and_has_not_failed(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    child = stage.child("service")
    # A wait would last longer than the test.
    child.backoff = Backoff(first=3_600, longest=3_600)
    running = stage.run(child)
    for life in range(1, 8):
        await until(lambda life=life: stage.lines().count("service started") == life and child.serving.is_set())
        os.kill(stage.pid("service"), signal.SIGTERM)
        await until(lambda life=life: stage.lines().count("service ended") == life)
    await until(lambda: stage.lines().count("service started") == 8)
    stage.stop.set()
    await within(running)
    assert "child died" not in "".join(capfd.readouterr())


async def test_a_child_that_never_gets_ready_ends_all_with_its_status(stage: Stage) -> None:
    running = stage.run(stage.child("redis"), stage.child("service", "import sys; sys.exit(3)", ready=False))
    with pytest.raises(ChildHopeless, match=r"service ended 5 times without becoming ready, at last by exit status 3"):
        await within(running)
    assert stage.lines() == ["redis started", "redis ended"]
    assert not stage.said_ready.is_set()


async def test_a_child_that_was_ready_once_is_never_given_up(stage: Stage) -> None:
    script = "import sys; open(sys.argv[2], 'a').write(f'{sys.argv[1]} started\\n'); import time; time.sleep(0.2)"
    running = stage.run(stage.child("service", script))
    await until(lambda: stage.lines().count("service started") > 7)
    assert not running.done()
    stage.stop.set()
    await within(running)


async def test_a_child_not_ready_in_time_is_killed(stage: Stage) -> None:
    child = stage.child("service", ready=False, start_deadline=0.05)
    with pytest.raises(ChildHopeless, match="at last by signal SIGKILL"):
        await within(stage.run(child))


async def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(stage: Stage) -> None:
    deaf = STAND_IN.replace("signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    running = stage.run(stage.child("service", deaf, grace=0.2))
    await within(stage.said_ready.wait())
    stage.stop.set()
    await within(running)
    assert stage.lines() == ["service started"]


async def test_a_stop_before_all_serve_ends_what_runs(stage: Stage) -> None:
    running = stage.run(stage.child("redis"), stage.child("service", ready=False))
    await until(lambda: "service started" in stage.lines())
    stage.stop.set()
    await within(running)
    assert stage.lines()[2:] == ["service ended", "redis ended"]


async def test_an_executable_that_cannot_be_run_is_named(stage: Stage) -> None:
    child = Child(ChildSpec("redis", ("/absent/redis",), asyncio.Event().wait, stage.folder / "pid"), backoff=AT_ONCE)
    with pytest.raises(ChildHopeless, match="redis: /absent/redis cannot be run"):
        await within(stage.run(child))


async def test_a_child_is_handed_its_input_and_sees_it_end_with_its_parent(stage: Stage) -> None:
    reader = """
import sys
name, diary = sys.argv[1:3]
def write(what):
    with open(diary, "a") as file:
        file.write(f"{name} {what}\\n")
write(sys.stdin.readline().strip())
write("started")
sys.stdin.read()
write("orphaned")
"""
    parent = f"""
import asyncio, os, pathlib
from headgate_cli.run.child import Child, ChildSpec
async def never():
    return False
asyncio.run(Child(ChildSpec("service", {(sys.executable, "-c", reader, "service", str(stage.diary))!r}, never,
    pathlib.Path({str(stage.folder / "pid")!r}), handover=b"hello\\n")).run())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent)
    await until(lambda: "service started" in stage.lines())
    process.kill()
    await process.wait()
    await until(lambda: stage.lines() == ["service hello", "service started", "service orphaned"])


def test_waits_double_to_a_limit_and_differ_by_jitter() -> None:
    longest = Backoff(first=1, longest=10, jitter=lambda: 1.0)
    shortest = Backoff(first=1, longest=10, jitter=lambda: 0.0)
    assert [longest.delay(failures) for failures in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]
    assert [shortest.delay(failures) for failures in (1, 4)] == [0.5, 4]


async def test_failures_are_forgotten_after_a_stable_while(stage: Stage) -> None:
    waits: list[float] = []

    class Noted(Backoff):
        def delay(self, failures: int) -> float:
            waits.append(failures)
            return 0.01

    script = "import sys, time; open(sys.argv[2], 'a').write(f'{sys.argv[1]} started\\n'); time.sleep(0.1); sys.exit(1)"
    child = stage.child("service", script)
    child.backoff = Noted()
    child.stable_after = 0.0
    running = stage.run(child)
    await until(lambda: len(waits) >= 3)
    stage.stop.set()
    await within(running)
    assert set(waits) == {1}


async def test_a_child_that_cannot_be_started_for_a_while_is_started_after_it(stage: Stage) -> None:
    running = stage.run(stage.child("a"))
    await within(stage.said_ready.wait())
    killed = stage.pid("a")
    # As on a full disk, its pid cannot be written down.
    part = stage.folder / "a.pid.part"
    part.mkdir()
    os.kill(killed, signal.SIGKILL)
    await until(lambda: not (stage.folder / "a.pid").exists())
    await asyncio.sleep(0.2)
    assert not running.done()
    part.rmdir()
    await until(lambda: (stage.folder / "a.pid").exists() and stage.pid("a") != killed)
    stage.stop.set()
    await within(running)


# Beats on its standard input, as Headgate's own do, until it is told not to.
BEATING = """
import os, sys, time
name, diary, *mute = sys.argv[1:]
sys.stdin.readline()
with open(diary, "a") as file:
    file.write(f"{name} started\\n")
while True:
    if not os.path.exists(f"{diary}.mute"):
        os.write(0, b".")
    time.sleep(0.05)
"""


async def test_a_child_that_falls_silent_is_killed_and_started_again(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    other = stage.child("gateway", BEATING, handover=b"\n", silence=30.0)
    running = stage.run(stage.child("service", BEATING, handover=b"\n", silence=2.0), other)
    await within(stage.said_ready.wait())
    pid, others = stage.pid("service"), stage.pid("gateway")
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: stage.lines().count("service started") == 2)
    assert stage.pid("service") != pid
    assert stage.pid("gateway") == others
    assert "child does not answer and is killed" in capfd.readouterr().out
    stage.stop.set()
    await within(running)


async def test_a_child_that_runs_and_says_nothing_is_killed_too(stage: Stage) -> None:
    running = stage.run(stage.child("service", BEATING, handover=b"\n", silence=2.0))
    await within(stage.said_ready.wait())
    mute = stage.diary.with_name("diary.mute")
    mute.touch()
    await until(lambda: stage.lines().count("service started") == 2)
    mute.unlink()
    stage.stop.set()
    await within(running)


async def test_a_child_may_be_silent_while_it_starts_and_while_it_ends(stage: Stage) -> None:
    script = STAND_IN.replace('write("started")', 'time.sleep(3)\nwrite("started")\nimport os\n').replace(
        '    write("ended")', '    time.sleep(3)\n    write("ended")'
    )
    script = script.replace("    time.sleep(0.05)\n", "    os.write(0, b'.')\n    time.sleep(0.05)\n")
    running = stage.run(stage.child("service", script, handover=b"\n", silence=1.5))
    await within(stage.said_ready.wait())
    stage.stop.set()
    await within(running)
    assert stage.lines() == ["service started", "service ended"]


async def test_time_for_which_this_process_stood_still_is_not_held_against_a_child(stage: Stage) -> None:
    moments = iter(range(0, 1_000_000, 1000))
    child = stage.child("service", BEATING, handover=b"\n", silence=12.0)
    child.clock = lambda: float(next(moments))
    mute = stage.diary.with_name("diary.mute")
    running = stage.run(child)
    await within(stage.said_ready.wait())
    mute.touch()
    await asyncio.sleep(2.5)
    mute.unlink()
    await asyncio.sleep(2.5)
    assert stage.lines() == ["service started"]
    stage.stop.set()
    await within(running)
