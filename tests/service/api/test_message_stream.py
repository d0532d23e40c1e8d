"""Messages under way at once, and their answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from headgate_service.api.message_stream import MAX_BYTES_UNDER_WAY, MAX_UNDER_WAY, MessageStream


class Stage:
    """Answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.gates: dict[bytes, asyncio.Event] = {}
        self.ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: list[bytes] = []

    async def answer(self, message: bytes) -> bytes:
        self.asked.append(message)
        await self.gates.setdefault(message, asyncio.Event()).wait()
        if message == b"bad":
            raise ValueError("ends the stream")
        return message

    def let_go(self, *messages: bytes) -> None:
        for message in messages:
            self.gates.setdefault(message, asyncio.Event()).set()

    def run(self, messages: AsyncIterator[bytes]) -> "asyncio.Task[None]":
        async def read() -> None:
            async for answer in MessageStream(self.answer, self.ending).answers(messages):
                self.told.append(answer)

        return asyncio.create_task(read())


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def each(*messages: bytes, then: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
    if then is not None:
        await then.wait()


async def settle() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def test_messages_are_under_way_at_once_and_answered_in_order(stage: Stage) -> None:
    running = stage.run(each(b"a", b"b", b"c"))
    await settle()
    assert stage.asked == [b"a", b"b", b"c"]
    stage.let_go(b"c", b"b")
    await settle()
    assert stage.told == []
    stage.let_go(b"a")
    await running
    assert stage.told == [b"a", b"b", b"c"]


async def test_so_many_are_under_way_and_no_more(stage: Stage) -> None:
    messages = [b"%d" % number for number in range(3 * MAX_UNDER_WAY)]
    running = stage.run(each(*messages))
    await settle()
    assert stage.asked == messages[:MAX_UNDER_WAY]
    stage.let_go(messages[0])
    await settle()
    assert stage.asked == messages[: MAX_UNDER_WAY + 1]
    stage.let_go(*messages)
    await running
    assert stage.told == messages


async def test_large_ones_are_bounded_by_their_bytes(stage: Stage) -> None:
    half, more = b"a" * (MAX_BYTES_UNDER_WAY // 2), b"b" * (MAX_BYTES_UNDER_WAY + 1)
    running = stage.run(each(half, more, b"c"))
    await settle()
    assert [len(one) for one in stage.asked] == [len(half)]
    stage.let_go(half)
    await settle()
    assert [len(one) for one in stage.asked] == [len(half), len(more)]
    stage.let_go(more, b"c")
    await running
    assert len(stage.told) == 3


async def test_at_its_end_what_was_read_is_answered_and_no_more_read(stage: Stage) -> None:
    running = stage.run(each(b"a", b"b", then=asyncio.Event()))
    await settle()
    stage.ending.set_result(None)
    await settle()
    assert not running.done()
    stage.let_go(b"a", b"b")
    await running
    assert stage.told == [b"a", b"b"]


async def test_why_it_ends_is_raised_after_the_answers(stage: Stage) -> None:
    running = stage.run(each(b"a", then=asyncio.Event()))
    await settle()
    stage.ending.set_exception(KeyError("shut out"))
    stage.let_go(b"a")
    with pytest.raises(KeyError):
        await running
    assert stage.told == [b"a"]


async def test_an_answer_that_ends_the_stream_ends_what_is_under_way(stage: Stage) -> None:
    running = stage.run(each(b"bad", b"b"))
    await settle()
    stage.let_go(b"bad")
    with pytest.raises(ValueError, match="ends the stream"):
        await running
    assert stage.told == []
    await settle()
    assert len(asyncio.all_tasks()) == 1


async def test_a_failure_of_the_messages_is_raised(stage: Stage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("reset")

    stage.let_go(b"a")
    with pytest.raises(OSError, match="reset"):
        await stage.run(broken())
    assert stage.told == [b"a"]
