"""What the bodies of all connections hold together is bounded, over real sockets."""

import asyncio

import pytest
from headgate_gateway.http.body import BodyLimits

ONE = b'{"events":[{"name":"a"}]}'


def head(size: int) -> bytes:
    return f"POST /plain HTTP/1.1\r\nHost: x\r\nX-Key: k\r\nContent-Length: {size}\r\n\r\n".encode()


async def begin(gateway, until, sent: bytes, read):
    """A request of 1,000 bytes that stays unfinished; returns when what was sent has been read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head(1000) + sent)
    await writer.drain()
    await until(read)
    return reader, writer


@pytest.mark.parametrize(
    "limits",
    [BodyLimits(held_bytes=2000), BodyLimits(bodies=2)],
    ids=["bytes", "bodies"],
)
async def test_what_is_beyond_the_bound_is_shed_and_taken_when_there_is_room(start_gateway, until, limits):
    gateway = await start_gateway(limits=limits)
    value = gateway.metrics.registry.get_sample_value
    first = [await begin(gateway, until, b" " * 990, in_flight(value, number)) for number in (1, 2)]
    answer = await gateway.raw(head(1000).replace(b"Host", b"Connection: close\r\nHost"), b" " * 990)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer.lower()
    assert value("headgate_gateway_shed_total", {"what": "body"}) == 1
    # What comes with its head is held by nobody.
    close = head(len(ONE)).replace(b"Host", b"Connection: close\r\nHost")
    assert (await gateway.raw(close + ONE)).startswith(b"HTTP/1.1 200 ")
    for _, writer in first:
        writer.close()
    await until(in_flight(value, 0))
    answer = await gateway.raw(close, ONE)
    assert answer.startswith(b"HTTP/1.1 200 ")


def in_flight(value, number):
    return lambda: value("headgate_gateway_in_flight_requests") == number


async def test_a_body_that_comes_too_slowly_is_cut_though_it_never_pauses(start_gateway):
    limits = BodyLimits(grace_seconds=0.2, bytes_per_second=1000, discard_seconds=0.1)
    gateway = await start_gateway(limits=limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head(1000))

    async def drip() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(reader.read(100), 20)
    dripping.cancel()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_may_take_its_grace_and_what_its_size_takes_at_the_slowest_rate():
    limits = BodyLimits()
    assert limits.seconds_for(0) == 30
    assert limits.seconds_for(10 * 1024) == 40
    assert limits.seconds_for(2**30) == 300
