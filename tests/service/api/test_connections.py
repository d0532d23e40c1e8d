"""Connections of the gRPC port: pings, age, and how much one may have open."""

import asyncio
import struct

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from headgate.v1 import event_pb2
from headgate.v1.ingest_service_pb2 import IngestEventsRequest, StreamEventsRequest
from headgate_service.config import ConnectionTerms

SETTINGS, PING, GOAWAY = 0x4, 0x6, 0x7
MAX_CONCURRENT_STREAMS = 0x3
ONE = StreamEventsRequest(request=IngestEventsRequest(events=[event_pb2.Event(name="a")]))


class RawConnection:
    """A connection of HTTP/2 without any call, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, address: str) -> "RawConnection":
        connection = cls(*await asyncio.open_connection(*address.rsplit(":", 1)))
        connection._writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        connection._send(SETTINGS)
        return connection

    def ping(self) -> None:
        self._send(PING, b"12345678")

    async def frame(self) -> tuple[int, int, bytes]:
        """The type, flags and content of the next frame."""
        head = await self._reader.readexactly(9)
        content = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        return head[3], head[4], content

    async def until(self, *kinds: int) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            while True:
                kind, flags, content = await self.frame()
                if kind in kinds and not (kind == PING and not flags):
                    return kind, content

    def close(self) -> None:
        self._writer.close()

    def _send(self, kind: int, content: bytes = b"") -> None:
        self._writer.write(len(content).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + content)


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


async def test_a_client_may_ping_every_5_seconds_without_a_call(service):
    connection = await RawConnection.to(service.address)
    # A server that admits a ping in 5 minutes, as is usual, sends the third away that comes too early.
    for number in range(4):
        await asyncio.sleep(5.1 if number else 0)
        connection.ping()
        kind, content = await connection.until(PING, GOAWAY)
        assert (kind, content) == (PING, b"12345678")
    connection.close()


async def test_a_client_that_does_nothing_but_ping_is_sent_away(service):
    connection = await RawConnection.to(service.address)
    for _ in range(10):
        connection.ping()
    _, content = await connection.until(GOAWAY)
    assert b"too_many_pings" in content
    connection.close()


async def test_a_connection_says_how_many_calls_it_bears(start_service):
    service = await start_service(connections=ConnectionTerms(calls=7))
    connection = await RawConnection.to(service.address)
    _, content = await connection.until(SETTINGS)
    settings = dict(struct.iter_unpack(">HI", content))
    assert settings[MAX_CONCURRENT_STREAMS] == 7
    connection.close()


async def test_a_key_has_so_many_streams_open_and_no_more(start_service):
    service = await start_service(connections=ConnectionTerms(streams=2))

    async def opened():
        stream = service.ingest.StreamEvents(metadata=service.bearer())
        await stream.write(ONE)
        assert (await stream.read()).HasField("response")
        return stream

    first, _ = await opened(), await opened()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.ingest.StreamEvents(metadata=service.bearer()).read()
    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_streams")
    await first.done_writing()
    assert await first.read() is grpc.aio.EOF
    await opened()


async def test_a_connection_that_comes_of_age_ends_its_streams_between_messages(start_service):
    service = await start_service(connections=ConnectionTerms(age_seconds=1))
    stream = service.ingest.StreamEvents(metadata=service.bearer())
    await stream.write(ONE)
    assert (await stream.read()).HasField("response")
    async with asyncio.timeout(20):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "connection_old")
    again = await service.ingest.IngestEvents(ONE.request, metadata=service.bearer())
    assert again.results


async def test_a_connection_that_comes_of_age_is_told_so(start_service):
    service = await start_service(connections=ConnectionTerms(age_seconds=1, grace_seconds=1))
    connection = await RawConnection.to(service.address)
    kind, _ = await connection.until(GOAWAY)
    assert kind == GOAWAY
    connection.close()
