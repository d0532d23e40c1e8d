"""What a plugin may hand back, and how much of what it says is kept."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from headgate_service.delivery.attempt import MAX_CODE_BYTES, MAX_DETAILS_BYTES, MAX_MESSAGE_BYTES, checked, cut
from headgate_service.delivery.in_process_sink import InProcessSink
from headgate_service.delivery.sink_runner import SinkRunner, State
from headgate_service.model.sink import SinkSpec
from headgate_sinks import Batch, Limits, Misconfigured, Reject, Result, Retry, Spec, TooLarge
from headgate_sinks.sdk.host import Broken

LONG = "x" * 2_000_000
BATCH: Any = SimpleNamespace(events=[None, None], id="b", attempt=1)


class Chatty:
    """A sink that answers what it is told to, or raises it."""

    spec, limits = Spec(), Limits()

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def open(self) -> None: ...

    async def write(self, batch: Batch) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def check(self) -> None:
        if isinstance(self._answer, Exception):
            raise self._answer

    async def close(self) -> None: ...


def runner(answer: Any) -> SinkRunner:
    sink: Any = Chatty(answer)
    return SinkRunner(SinkSpec(name="chatty", use="x"), InProcessSink(sink), lambda: 0.0)


@pytest.mark.parametrize("answer", [Retry(LONG), Misconfigured(LONG), TooLarge(LONG), ValueError(LONG)])
async def test_what_a_plugin_says_of_a_batch_is_cut_and_says_so(answer):
    for outcome in (await runner(answer).write(BATCH), await runner(answer).check()):
        assert isinstance(outcome, Retry | Misconfigured | TooLarge)
        assert len(outcome.message.encode()) == MAX_MESSAGE_BYTES
        assert "... (cut, 20000" in outcome.message
        assert len(str(outcome)) == MAX_MESSAGE_BYTES


async def test_a_rejection_is_cut_too():
    outcome = await runner(Result((Reject((0,), LONG, LONG), Reject((1,), "http_422", "no")))).write(BATCH)
    assert isinstance(outcome, Result)
    long, short = outcome.rejected
    assert (len(long.code), len(long.message)) == (MAX_CODE_BYTES, MAX_MESSAGE_BYTES)
    assert long.message.endswith("... (cut, 2000000 bytes)")
    assert short == Reject((1,), "http_422", "no")
    assert checked(outcome, 2) == outcome


async def test_why_a_plugin_is_broken_is_cut_in_the_status():
    broken = SinkRunner(SinkSpec(name="chatty", use="x"), Broken("x", LONG, LONG), lambda: 0.0)
    assert broken.status.state is State.BROKEN
    assert len(broken.status.last_error) == MAX_MESSAGE_BYTES < MAX_DETAILS_BYTES
    outcome = await broken.write(BATCH)
    assert isinstance(outcome, Misconfigured)
    assert len(outcome.message) == MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("fine", "fine"),
        (None, ""),
        (b"bytes", "(bytes, not a text)"),
        ("torn \ud800", "torn ?"),
        ("\u00e4" * 500, "\u00e4" * 500),
        ("\u00e4" * 501, "\u00e4" * 489 + "... (cut, 1002 bytes)"),
    ],
)
def test_a_text_that_is_kept_can_be_stored(given, kept):
    assert cut(given) == kept
    assert len(kept.encode()) <= MAX_MESSAGE_BYTES


async def test_a_name_that_no_text_can_hold_does_not_end_the_write():
    outcome = await runner(type(LONG, (), {})()).write(BATCH)
    assert isinstance(outcome, Misconfigured)
    assert len(outcome.message.encode()) <= MAX_MESSAGE_BYTES


async def test_a_pause_that_is_no_number_is_none():
    outcome = await runner(Retry("later", after=math.nan)).write(BATCH)
    assert isinstance(outcome, Retry)
    assert outcome.after is None
