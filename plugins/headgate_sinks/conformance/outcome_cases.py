"""What a sink says of a batch, and what is in its target then."""

import re
from pathlib import Path

import pytest

from headgate_sinks.conformance.fault import (
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    TakesOnly,
    TakesSome,
    Unavailable,
)
from headgate_sinks.conformance.harness import Harness
from headgate_sinks.conformance.workbench import Workbench
from headgate_sinks.sdk.sink import Misconfigured, Result, Retry

_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class OutcomeCases(Harness):
    """One fault each."""

    def test_success(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            for count in (1, 3):
                events = bench.events(count)
                assert await bench.write(bench.batch(events)) == Result()
                assert await bench.counts(events) == [1] * count

        self._run(case, tmp_path)

    def test_transient(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            await bench.arm(Unavailable())
            events = bench.events(3)
            delivered = await bench.deliver(bench.batch(events), on_retry=lambda: bench.arm(None))
            assert isinstance(delivered.outcomes[0], Retry), f"the first outcome was {delivered.outcomes[0]!r}"
            assert not delivered.rejected
            self._check_counts(bench, await bench.counts(events))

        self._run(case, tmp_path, Unavailable)

    def test_permanent(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            await bench.arm(Refuses())
            events = bench.events(3)
            delivered = await bench.deliver(bench.batch(events))
            assert sorted(delivered.rejected) == sorted(event.event_id for event in events)
            for reject in delivered.rejected.values():
                assert _CODE.fullmatch(reject.code), f"{reject.code!r} is not a short and stable code, such as http_422"
                assert reject.message, "a Reject without a message for the person who looks at the dead letters"
            assert await bench.counts(events) == [0, 0, 0]
            await bench.arm(None)
            later = bench.events(2)
            assert (await bench.deliver(bench.batch(later))).written == [event.event_id for event in later]

        self._run(case, tmp_path, Refuses)

    def test_what_a_person_must_mend(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            await bench.arm(NotAllowed())
            batch = bench.batch(bench.events(2))
            outcome = await bench.write(batch)
            assert isinstance(outcome, Misconfigured), f"the outcome was {outcome!r}"
            assert outcome.message
            await bench.arm(None)
            assert await bench.mended(batch) == Result()
            assert await bench.counts(batch.events) == [1, 1]

        self._run(case, tmp_path, NotAllowed)

    def test_mixed_outcomes(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            events = bench.events(7)
            refused = frozenset(events[place].event_id for place in (1, 4))
            later = frozenset(events[place].event_id for place in (0, 5))
            await bench.arm(TakesSome(refused, later))
            delivered = await bench.deliver(
                bench.batch(events), on_retry=lambda: bench.arm(TakesSome(refused, frozenset()))
            )
            assert set(delivered.rejected) == refused
            expected = [int(event.event_id not in refused) for event in events]
            self._check_counts(bench, await bench.counts(events), expected)

        self._run(case, tmp_path, TakesSome)

    @pytest.mark.parametrize("hint", [7.0, None], ids=["hint", "no-hint"])
    def test_rate_limit(self, tmp_path: Path, hint: float | None) -> None:
        async def case(bench: Workbench) -> None:
            await bench.arm(RateLimited(hint))
            batch = bench.batch(bench.events(2))
            outcome = await bench.write(batch)
            assert isinstance(outcome, Retry), f"the outcome was {outcome!r}"
            if hint is None:
                assert outcome.after is None, "a time to wait that the target did not say"
            else:
                # A target may say it as a moment, in whole seconds.
                assert outcome.after is not None, "the target's hint was not passed on"
                assert hint - 2 <= outcome.after <= hint + 1
            await bench.arm(None)
            assert await bench.write(batch) == Result()
            assert await bench.counts(batch.events) == [1, 1]

        self._run(case, tmp_path, RateLimited)

    def test_too_large(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            await bench.arm(TakesOnly(2))
            events = bench.events(7)
            delivered = await bench.deliver(bench.batch(events))
            assert not delivered.rejected
            assert await bench.counts(events) == [1] * 7
            await bench.arm(TakesOnly(0))
            alone = bench.events(1)
            assert len((await bench.deliver(bench.batch(alone))).rejected) == 1
            assert await bench.counts(alone) == [0]

        self._run(case, tmp_path, TakesOnly)

    def test_a_poison_event_in_a_batch(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            events = bench.events(6)
            poison = events[2].event_id
            await bench.arm(Poison(poison))
            delivered = await bench.deliver(bench.batch(events))
            assert poison in delivered.rejected
            for event, count in zip(events, await bench.counts(events), strict=True):
                # Where the target answers for the batch as a whole, its neighbours may be rejected too, but not lost.
                assert count == int(event.event_id not in delivered.rejected)

        self._run(case, tmp_path, Poison)
