"""The cases that every sink passes, or says why its target cannot show one."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from headgate_sinks.conformance.content import DEEP, INTEGERS, NUL, UNICODE
from headgate_sinks.conformance.fault import (
    AnswerLost,
    Fault,
    KeepsContent,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    TakesOnly,
    TakesSome,
    Unavailable,
)
from headgate_sinks.conformance.loop_watch import watched
from headgate_sinks.conformance.target import Target
from headgate_sinks.conformance.workbench import Workbench
from headgate_sinks.result import Misconfigured, Result, Retry
from headgate_sinks.sink import Repeats
from headgate_sinks.sync_sink import AnySink, SyncSink

_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_SHOWN = (
    Unavailable, RateLimited, NotAllowed, Refuses, Poison, TakesSome, TakesOnly, AnswerLost, Silent, KeepsContent,
)  # fmt: skip

Case = Callable[[Workbench], Awaitable[None]]


class SinkConformance:
    """Inherit as `class TestMine(SinkConformance)`, and fill in `sink`, `target` and `config`."""

    sink: ClassVar[type[AnySink]]
    """The class under test."""
    cannot: ClassVar[Mapping[type[Fault | KeepsContent], str]] = {}
    """What the target cannot show, with the reason, which is what the skipped tests say."""
    seconds: ClassVar[float] = 60.0
    """How long a case may take."""

    def target(self, folder: Path) -> AbstractAsyncContextManager[Target]:
        """A target that is well; `folder` is its own and the sink's data directory. Called once a case."""
        raise NotImplementedError("give the test's class a `target`: an async context manager of a Target")

    def config(self, target: Any) -> dict[str, Any]:
        """The sink's `[sinks.config]` for this target. Secrets should look like secrets, not like words."""
        return {}

    def environment(self, target: Any) -> dict[str, str]:
        """Where its `env:` secrets are."""
        return {}

    def test_every_case_that_is_left_out_says_why(self) -> None:
        for left_out, reason in self.cannot.items():
            assert left_out in _SHOWN, f"`cannot` names {left_out!r}, which is none of {_SHOWN}"
            assert len(reason) > 10, f"`cannot` gives no reason for {left_out.__name__}"

    def test_the_config_has_a_schema_and_hides_what_is_secret(self) -> None:
        model = self.sink.Config
        assert model.model_json_schema()["type"] == "object"
        for name, field in model.model_fields.items():
            assert field.description, f"`{name}` has no description, which the docs and the schema are made of"
            if _SECRET_NAME.search(name):
                assert field.annotation is not str, f"`{name}` looks like a secret: declare it as a SecretStr"

    def test_success(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            for count in (1, 3):
                events = bench.events(count)
                assert await bench.write(bench.batch(events)) == Result()
                assert await bench.counts(events) == [1] * count

        self._run(case, tmp_path)

    def test_a_check_writes_nothing(self, tmp_path: Path) -> None:
        async def case(bench: Workbench) -> None:
            before = list(await bench.target.received())
            with watched():
                await bench.new_life().check()
            assert list(await bench.target.received()) == before

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
                assert _CODE.fullmatch(reject.code), f"{reject.code!r} is no short and stable code, such as http_422"
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
            assert await bench.write(batch) == Result()
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
            assert await bench.write(bench.batch(bench.events(1), shard=99)) == Result()
            with watched():
                await asyncio.gather(*map(write, batches))
            everything = [event for batch in batches for event in batch.events]
            assert await bench.counts(everything) == [1] * len(everything)

        self._run(case, tmp_path)

    def test_the_event_loop_is_free_while_it_writes(self, tmp_path: Path) -> None:
        """Every call of every case is watched; here a full batch is written."""

        async def case(bench: Workbench) -> None:
            events = bench.events(min(self.sink.spec.limits.events, 500))
            assert await bench.write(bench.batch(events)) == Result()
            assert sum(await bench.counts(events)) == len(events)

        self._run(case, tmp_path)

    def test_secrets_are_shown_nowhere(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level("DEBUG")
        secrets: list[str] = []
        faults = [
            fault
            for fault in (Unavailable(), RateLimited(1.0), NotAllowed(), Refuses(), AnswerLost())
            if type(fault) not in self.cannot
        ]

        async def case(bench: Workbench) -> None:
            secrets.extend({*_secrets(bench.config), *map(bench.place.secret, _secrets(bench.config))})
            if not secrets:
                pytest.skip(f"the config of {self.sink.use!r} declares no SecretStr")
            bench.said += [repr(bench.config), str(bench.config), repr(bench.place)]
            for fault in (None, *faults):
                await bench.arm(fault)
                bench.new_life()
                await bench.write(bench.batch(bench.events(1)))
            await bench.arm(None)
            with pytest.raises(ValidationError) as refused:
                self.sink.Config.model_validate({**self.config(bench.target), "no_such_setting": secrets[0]})
            bench.said.append(str(refused.value))
            printed = capfd.readouterr()
            shown = "\n".join((*bench.said, caplog.text, printed.out, printed.err))
            for secret in secrets:
                assert secret not in shown, f"a secret is shown: {shown[max(shown.index(secret) - 200, 0) :][:300]}"

        self._run(case, tmp_path)

    @pytest.mark.parametrize("properties", UNICODE + INTEGERS + DEEP, ids=lambda one: "-".join(one)[:30])
    def test_content(self, tmp_path: Path, properties: dict[str, Any]) -> None:
        """Unicode, 64-bit integers and deep JSON arrive as they were."""

        async def case(bench: Workbench) -> None:
            text = json.dumps(properties, ensure_ascii=False).encode()
            event = bench.event(name="Käse 🧀 \u202eخبز", properties_json=text)
            assert await bench.write(bench.batch([event])) == Result()
            ((kept,),) = (await bench.held([event])).values()
            assert kept["name"] == event.name
            assert kept["properties"] == properties
            # 1 == 1.0 == True
            assert repr(kept["properties"]) == repr(properties)

        self._run(case, tmp_path, KeepsContent)

    def test_content_that_a_target_may_refuse(self, tmp_path: Path) -> None:
        """A NUL character is written or rejected, and harms no other event."""

        async def case(bench: Workbench) -> None:
            odd = bench.event(properties_json=json.dumps(NUL).encode())
            events = [*bench.events(2), odd, *bench.events(2)]
            delivered = await bench.deliver(bench.batch(events))
            assert set(delivered.rejected) <= {odd.event_id}
            assert await bench.counts(events) == [int(event.event_id in delivered.written) for event in events]

        self._run(case, tmp_path)

    @pytest.mark.parametrize("written", [True, False], ids=["after-a-write", "unused"])
    def test_close_is_idempotent(self, tmp_path: Path, written: bool) -> None:
        async def case(bench: Workbench) -> None:
            sink = bench.new_life()
            with watched():
                if written:
                    assert await bench.write(bench.batch(bench.events(1))) == Result()
                else:
                    await sink.open()
                await sink.close()
                await sink.close()

        self._run(case, tmp_path)

    @property
    def _concurrency(self) -> int:
        return 1 if issubclass(self.sink, SyncSink) else self.sink.spec.concurrency

    def _run(self, case: Case, folder: Path, needs: type[Fault | KeepsContent] | None = None) -> None:
        if needs is not None and needs in self.cannot:
            pytest.skip(f"the target of {self.sink.use!r} cannot show {needs.__name__}: {self.cannot[needs]}")

        async def run() -> None:
            async with asyncio.timeout(self.seconds), self.target(folder) as target:
                bench = Workbench(self.sink, target, self.config(target), folder, self.environment(target))
                try:
                    await case(bench)
                finally:
                    await bench.close()

        asyncio.run(run())

    def _needs_repeats(self) -> None:
        if self.sink.spec.repeats is Repeats.NONE:
            pytest.skip(f"the spec of {self.sink.use!r} says that a repeated batch may double: {Repeats.NONE}")

    def _check_counts(self, bench: Workbench, counts: list[int], expected: list[int] | None = None) -> None:
        expected = expected or [1] * len(counts)
        if bench.once:
            assert counts == expected
        else:
            assert [min(count, 1) for count in counts] == expected

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


def _secrets(model: Any) -> list[str]:
    if isinstance(model, SecretStr):
        return [model.get_secret_value()]
    if isinstance(model, SecretBytes):
        return [model.get_secret_value().decode(errors="replace")]
    if isinstance(model, BaseModel):
        return [secret for name in type(model).model_fields for secret in _secrets(getattr(model, name))]
    if isinstance(model, Mapping):
        return [secret for value in model.values() for secret in _secrets(value)]
    if isinstance(model, list | tuple | set | frozenset):
        return [secret for value in model for secret in _secrets(value)]
    return []
