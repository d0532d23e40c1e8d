"""What is written in one turn leaves at once and in order, and nothing is held back when it should not be."""

import asyncio
from typing import Any, cast

import pytest
from headgate_gateway.http_server.buffered_transport import BufferedTransport


class Recorder:
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def is_closing(self) -> bool:
        return "close" in self.done


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def corked(recorder: Recorder) -> BufferedTransport:
    return BufferedTransport(cast(asyncio.Transport, recorder), asyncio.get_running_loop())


async def test_the_writes_of_a_turn_leave_as_one(corked: BufferedTransport, recorder: Recorder) -> None:
    corked.write(b"head")
    corked.write(b"body")
    assert recorder.done == []
    await asyncio.sleep(0)
    corked.write(b"next")
    await asyncio.sleep(0)
    assert recorder.done == [b"headbody", b"next"]


@pytest.mark.parametrize("how", ["close", "write_eof"])
async def test_what_was_held_back_leaves_before_the_end(
    corked: BufferedTransport, recorder: Recorder, how: str
) -> None:
    corked.write(b"answer")
    getattr(corked, how)()
    assert recorder.done == [b"answer", how.removeprefix("write_")]
    await asyncio.sleep(0)
    assert len(recorder.done) == 2


async def test_a_stream_is_not_held_back(corked: BufferedTransport, recorder: Recorder) -> None:
    for _ in range(5):
        corked.write(b"x" * 30_000)
    assert b"".join(recorder.done) == b"x" * 90_000
    await asyncio.sleep(0)
    assert b"".join(recorder.done) == b"x" * 150_000
