"""What is made of a sink's process that crashes with a batch."""

import asyncio

import pytest
from headgate_service.delivery.safeguards import MAX_GIVEN_UP, CrashGuard, Verdict
from headgate_service.delivery.sink_runner import WriteSlots


@pytest.mark.parametrize(
    ("events", "crashes", "suspect", "expected"),
    [
        (8, 2, False, Verdict.AGAIN),
        (8, 3, False, Verdict.HALVE),
        (8, 0, True, Verdict.AGAIN),
        (8, 1, True, Verdict.HALVE),
        (1, 2, True, Verdict.AGAIN),
        (1, 3, True, Verdict.GIVE_UP),
        (1, 3, False, Verdict.GIVE_UP),
    ],
)
def test_a_crash(events, crashes, suspect, expected):
    assert CrashGuard().judge(events, crashes, suspect, may_pause=True) is expected


def test_a_sink_that_crashes_with_everything_pauses():
    crashes = CrashGuard()
    for _ in range(MAX_GIVEN_UP):
        assert crashes.judge(1, 3, suspect=True, may_pause=True) is Verdict.GIVE_UP
    assert crashes.judge(1, 3, suspect=True, may_pause=True) is Verdict.PAUSE
    assert crashes.judge(1, 3, suspect=True, may_pause=False) is Verdict.GIVE_UP
    crashes.written()
    assert crashes.judge(1, 3, suspect=True, may_pause=True) is Verdict.GIVE_UP


async def test_who_is_alone_waits_for_the_others_and_they_for_it():
    slots, order = WriteSlots(2), []
    release = asyncio.Event()

    async def take(name: str, alone: bool) -> None:
        async with slots.taken(alone):
            order.append(f"{name} in")
            await release.wait()
            order.append(f"{name} out")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for name, alone in (("a", False), ("b", False), ("c", True), ("d", True), ("e", False)):
            tasks.create_task(take(name, alone))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == ["a in", "b in"]
        release.set()
    for name in "cd":
        first = order.index(f"{name} in")
        assert order[first + 1] == f"{name} out"
    assert len(order) == 10


async def test_giving_up_leaves_no_slot_taken():
    slots = WriteSlots(3)
    async with slots.taken(alone=False):
        waiting = asyncio.create_task(anext(aiter_of(slots)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), slots.taken(alone=True):
        pass


async def aiter_of(slots):
    async with slots.taken(alone=True):
        yield
