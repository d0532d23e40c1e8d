"""Sinks that block: their calls run in one thread of their own."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest
from headgate_sinks import Batch, Config, Place, Result, Retry, SyncSink, running
from headgate_sinks.sdk.sink import Spec

BATCHES = [Batch(f"b{number}", "e", 0, number, 0, []) for number in range(4)]


class SlowSink(SyncSink[Config]):
    use = "slow"
    Config = Config
    spec = Spec(concurrency=7)

    def __init__(self, config, place):
        super().__init__(config, place)
        self.calls = []
        self.threads = set()
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.error = None

    def _call(self, what):
        self.threads.add(threading.current_thread())
        self.calls.append(what)

    def open(self):
        self._call("open")

    def check(self):
        self._call("check")

    def write(self, batch):
        self._call(f"begin {batch.id}")
        self.begun.set()
        self.go_on.wait(10)
        self._call(f"end {batch.id}")
        if self.error is not None:
            raise self.error
        return Result()

    def close(self):
        self._call("close")


@pytest.fixture
def slow(tmp_path):
    return SlowSink(Config(), Place("slow", tmp_path, lambda: 0.0))


async def test_every_call_comes_from_one_thread_that_is_not_the_event_loops(slow):
    slow.go_on.set()
    sink = running(slow)
    assert running(sink) is sink
    await sink.check()
    await sink.open()
    assert await sink.write(BATCHES[0]) == Result()
    await sink.close()
    assert slow.calls == ["check", "open", "begin b0", "end b0", "close"]
    (thread,) = slow.threads
    assert thread is not threading.current_thread()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    await sink.close()


async def test_a_cancelled_write_ends_before_the_next_begins_and_one_that_waited_is_not_made(slow):
    sink = running(slow)
    first, second = (asyncio.create_task(sink.write(batch)) for batch in BATCHES[:2])
    await asyncio.to_thread(slow.begun.wait, 10)
    for task in (first, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    third = asyncio.create_task(sink.write(BATCHES[2]))
    await asyncio.sleep(0)
    assert slow.calls == ["begin b0"]
    slow.go_on.set()
    assert await third == Result()
    assert slow.calls == ["begin b0", "end b0", "begin b2", "end b2"]


async def test_it_writes_one_batch_at_a_time_whatever_its_spec_says(slow):
    assert running(slow).spec.concurrency == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (Retry("later"), Retry),
        (ValueError("x"), ValueError),
        (StopIteration(), RuntimeError),
        (CancelledError(), CancelledError),
        (SystemExit(3), RuntimeError),
    ],
)
async def test_whatever_it_raises_is_the_writes_alone(slow, error, raised):
    slow.go_on.set()
    slow.error = error
    sink = running(slow)
    with pytest.raises(raised):
        await sink.write(BATCHES[0])
    slow.error = None
    assert await sink.write(BATCHES[1]) == Result()
