"""Sends one gRPC request again and again: `python -m bench.grpc_load`, the load as JSON on standard input."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from typing import TypeAlias

import grpc
import uvloop
from headgate.v1 import event_pb2, ingest_service_pb2, ingest_service_pb2_grpc

from bench.http_load import first_number
from bench.pace import Lane, Pace

_Requests = Iterator[ingest_service_pb2.IngestEventsRequest]
_Call: TypeAlias = (
    "grpc.aio.StreamStreamCall[ingest_service_pb2.StreamEventsRequest, ingest_service_pb2.StreamEventsResponse]"
)
CALL_SECONDS = 20.0
STREAMS = 4


@dataclass(frozen=True)
class GrpcLoad:
    """What to send where, with how many requests under way, over unary calls or a few streams; `rate` as in Pace."""

    target: str
    key: str
    events: int
    lanes: int
    seconds: float
    stream: bool = False
    gzip: bool = False
    rate: float | None = None

    def requests(self) -> Iterator[ingest_service_pb2.IngestEventsRequest]:
        """The requests, with people and times of their own."""
        properties = b'{"plan":"pro","source":"pricing_page","amount":12.5,"items":3,"path":"/pricing","ab":true}'
        number = first_number()
        while True:
            number += 1
            yield ingest_service_pb2.IngestEventsRequest(
                events=[
                    event_pb2.Event(
                        name="signup_completed",
                        occur_time={"seconds": 1_770_132_600 + index, "nanos": number % 10**9},
                        distinct_id=f"user_{index}_{number}",
                        session_id=f"session_{number}",
                        properties_json=properties,
                    )
                    for index in range(self.events)
                ]
            )


class _Unary:
    """One call at a time."""

    lost = False

    def __init__(self, load: GrpcLoad, pace: Pace, channel: grpc.aio.Channel, requests: _Requests) -> None:
        self._pace = pace
        self._requests = requests
        self._call = ingest_service_pb2_grpc.IngestServiceStub(channel).IngestEvents
        self._metadata = (("authorization", f"Bearer {load.key}"),)

    def send(self) -> None:
        # Kept, since a task that nobody holds may be collected.
        self._task = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            response = await self._call(next(self._requests), metadata=self._metadata, timeout=CALL_SECONDS)
            status = "OK" if response.receipt else "nothing stored"
        except grpc.aio.AioRpcError as error:
            status = error.code().name
        self._pace.answered(self, status)


class _Stream:
    """One stream, whose answers come in the order of its messages."""

    def __init__(self, load: GrpcLoad, pace: Pace, channel: grpc.aio.Channel, requests: _Requests) -> None:
        self._pace = pace
        self._requests = requests
        self._under_way: deque[Lane] = deque()
        self._messages: asyncio.Queue[ingest_service_pb2.StreamEventsRequest | None] = asyncio.Queue()
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        call = stub.StreamEvents(self._sent(), metadata=(("authorization", f"Bearer {load.key}"),))
        self._task = asyncio.create_task(self._read(call))

    def send(self, lane: Lane) -> None:
        self._under_way.append(lane)
        self._messages.put_nowait(ingest_service_pb2.StreamEventsRequest(request=next(self._requests)))

    async def _sent(self) -> AsyncIterator[ingest_service_pb2.StreamEventsRequest]:
        while (message := await self._messages.get()) is not None:
            yield message

    async def _read(self, call: _Call) -> None:
        try:
            async for answer in call:
                self._pace.answered(self._under_way.popleft(), "OK" if answer.response.receipt else "refused")
        except grpc.aio.AioRpcError as error:
            while self._under_way:
                self._pace.answered(self._under_way.popleft(), error.code().name)

    async def close(self) -> None:
        self._messages.put_nowait(None)
        await asyncio.wait([self._task], timeout=CALL_SECONDS)


class _StreamLane:
    lost = False

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def send(self) -> None:
        self._stream.send(self)


async def send(load: GrpcLoad) -> dict[str, object]:
    pace = Pace(load.seconds, load.rate)
    requests = load.requests()
    compression = grpc.Compression.Gzip if load.gzip else grpc.Compression.NoCompression
    async with grpc.aio.insecure_channel(load.target, compression=compression) as channel:
        await asyncio.wait_for(channel.channel_ready(), CALL_SECONDS)
        if not load.stream:
            return asdict(await pace.run([_Unary(load, pace, channel, requests) for _ in range(load.lanes)]))
        streams = [_Stream(load, pace, channel, requests) for _ in range(STREAMS)]
        measured = await pace.run([_StreamLane(streams[lane % STREAMS]) for lane in range(load.lanes)])
        for stream in streams:
            await stream.close()
        return asdict(measured)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(send(GrpcLoad(**json.load(sys.stdin))))))
