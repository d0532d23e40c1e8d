"""Batches that come again, or at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headgate_sinks.conformance.fault import AnswerLost, Silent
from headgate_sinks.conformance.harness import Harness
from headgate_sinks.conformance.loop_watch import watched
from headgate_sinks.conformance.workbench import Workbench
from headgate_sinks.sdk.sink import Repeats, Result, Retry, SyncSink


class RepeatCases(Harness):
    """Nothing is lost, and where the spec says so nothing doubles."""

    def test_a_repeat_after_a_death_before_the_return_was_recorded(self, tmp_path: Path) -> None:
        self._needs_repeats()

        async def case(bench: Workbench) -> None:
            first, second = bench.batch(bench.events(3)), bench.batch(bench.events(2))
            for batch in (first, second):
                assert await bench.write(batch) == Result()
            bench.new_life()
            assert await bench.write(second) == Result()
            bench.new_life()
            third = bench.batch(bench.events(1))
            for batch in (second, third, third):
                assert await bench.write(batch) == Result()
            everything = [*first.events, *second.events, *third.events]
            assert await bench.counts(everything) == [1] * len(everything)

        self._run(case, tmp_path)

    def test_a_lost_answer(self, tmp_path: Path) -> None:
        self._needs_repeats()

        async def case(bench: Workbench) -> None:
            await bench.arm(AnswerLost())
            batch = bench.batch(bench.events(3))
            outcome = await bench.write(batch)
            assert isinstance(outcome, Retry), (
                f"nobody can know that the batch was taken, and the sink said {outcome!r}"
            )
            await bench.arm(None)
            bench.new_life()
            assert await bench.write(batch) == Result()
            assert await bench.counts(batch.events) == [1, 1, 1]

        self._run(case, tmp_path, AnswerLost)

    def test_the_same_events_in_another_batch(self, tmp_path: Path) -> None:
        if self.sink.spec.repeats is not Repeats.EVENT_ID:
            pytest.skip(f"the sink's spec does not say that repeats are known by the event: {self.sink.spec.repeats}")

        async def case(bench: Workbench) -> None:
            events = bench.events(4)
            for part in (events[:3], events[1:]):
                assert await bench.write(bench.batch(part)) == Result()
            assert await bench.counts(events) == [1] * 4

        self._run(case, tmp_path)

    @pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 100])
    def test_cancellation(self, tmp_path: Path, turns: int) -> None:
        async def case(bench: Workbench) -> None:
            assert await bench.write(bench.batch(bench.events(1))) == Result()
            batch = bench.batch(bench.events(3))
            await self._cancel(bench, batch, turns)
            assert (await bench.deliver(batch)).written == [event.event_id for event in batch.events]
            self._check_counts(bench, await bench.counts(batch.events))

        self._run(case, tmp_path)

    def test_cancellation_while_the_target_is_silent(self, tmp_path: Path) -> None:
        if issubclass(self.sink, SyncSink):
            pytest.skip("a SyncSink's write goes on to its end in its thread: its client's timeouts end it")

        async def case(bench: Workbench) -> None:
            await bench.arm(Silent())
            batch = bench.batch(bench.events(3))
            await self._cancel(bench, batch, turns=500)
            await bench.arm(None)
            assert (await bench.deliver(batch)).written == [event.event_id for event in batch.events]
            self._check_counts(bench, await bench.counts(batch.events))

        self._run(case, tmp_path, Silent)

    def test_as_many_writes_at_once_as_it_declares(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            batches = [bench.batch(bench.events(2), shard) for shard in range(3 * self._concurrency)]
            places = asyncio.Semaphore(self._concurrency)

            async def write(batch: Any) -> None:
                async with places:
                    assert (await bench.deliver(batch)).written == [event.event_id for event in batch.events]

            bench.new_life()
            assert await bench.write(bench.batch(bench.events(1), shard=len(batches))) == Result()
            with watched():
                await asyncio.gather(*map(write, batches))
            everything = [event for batch in batches for event in batch.events]
            assert await bench.counts(everything) == [1] * len(everything)

        self._run(case, tmp_path)

    @property
    def _concurrency(self) -> int:
        return 1 if issubclass(self.sink, SyncSink) else self.sink.spec.concurrency

    async def _cancel(self, bench: Workbench, batch: Any, turns: int) -> None:
        task = asyncio.create_task(bench.write(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return
        assert not cancelled or task.result() == Result(), "the write swallowed its cancellation"
