"""How the gateway reaches the service that takes events in."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
import msgspec
import structlog
from headgate.v1 import ingest_service_pb2
from headgate_dialects.formats.wire import tag, varint


class ServiceUnavailable(Exception):
    """The service did not answer: the request is not confirmed, and may or may not have been stored."""


class RequestTooLarge(Exception):
    """The request, as events, is larger than one call can bear, though its body was within its limits."""


class IngestClient(Protocol):
    """Sends one understood HTTP request and gets its own answer."""

    async def ingest(self, request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
        """Return the answer, or raise ServiceUnavailable or RequestTooLarge."""
        ...

    async def refused(self, seconds: float) -> str:
        """Why the service takes nothing from this gateway; empty where it does, or does not answer in time."""
        ...

    async def close(self) -> None:
        """Take nothing more, and wait for what was taken."""
        ...


# One gRPC call per HTTP request costs more than all the rest of the gateway's work; there is no timer, so that a lone
# request never waits.

CONTRACT = 2
"""The version of the internal messages; that before it is spoken too. See IngestGathered."""
CONTRACT_METADATA = ("headgate-contract", str(CONTRACT))
METHOD = "/headgate.v1.IngestService/IngestGathered"
_REQUESTS = tag(ingest_service_pb2.IngestGatheredRequest, "requests")
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
# The service takes no larger message from anybody: a larger call goes in parts.
PART_BYTES = 4 * 1024 * 1024
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A service that was restarted is found again within a second, not within gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, slots=True)
class Gathering:
    """How requests are gathered. `answer_seconds` is the longest a request waits, for its call and for the answer.

    It is a little longer than the service waits for its log, so that its own words are heard where they can be.
    """

    calls_in_flight: int = 2
    call_bytes: int = 1024 * 1024
    answer_seconds: float = 6.0
    waiting_requests: int = 10_000
    waiting_bytes: int = 128 * 1024 * 1024


class _Waiting(msgspec.Struct, eq=False):
    frame: bytes
    since: float
    answer: "asyncio.Future[ingest_service_pb2.GatheredAnswer]"


class GatheredIngestClient:
    """An IngestClient over one channel. `watch_call` is told how many requests each call bears."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        gateway_token: str,
        gathering: Gathering,
        watch_call: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The gathered message is nothing but its requests, so that their encodings, each with its tag and length, can
        # be joined: they are encoded once and never copied into an outer message.
        self._call: Any = channel.unary_unary(
            METHOD,
            request_serializer=b"".join,
            response_deserializer=ingest_service_pb2.IngestGatheredResponse.FromString,
        )
        self._call_in_parts: Any = channel.stream_unary(
            METHOD, response_deserializer=ingest_service_pb2.IngestGatheredResponse.FromString
        )
        self._metadata = (("headgate-gateway-token", gateway_token), CONTRACT_METADATA)
        self._gathering = gathering
        self._watch_call = watch_call
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failing = False

    async def ingest(self, request: ingest_service_pb2.GatheredRequest) -> ingest_service_pb2.GatheredAnswer:
        """Send `request` with whatever others wait; ServiceUnavailable where no answer is to be had in time."""
        frame = _frame(request.SerializeToString())
        gathering = self._gathering
        if len(frame) > MAX_MESSAGE_BYTES:
            raise RequestTooLarge(f"the request is {len(frame)} bytes, more than the {MAX_MESSAGE_BYTES} of a call")
        if self._closed:
            raise ServiceUnavailable("the gateway is closing")
        if len(self._waiting) >= gathering.waiting_requests or (
            self._waiting and self._waiting_bytes + len(frame) > gathering.waiting_bytes
        ):
            raise ServiceUnavailable("too many requests wait for the service")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(frame, self._clock(), loop.create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += len(frame)
        self._send_waiting()
        # A third of what asyncio.timeout costs, which must be able to cancel any await; here is but one future.
        late = loop.call_later(gathering.answer_seconds, self._fail_late, waiting)
        try:
            answer = await waiting.answer
        finally:
            late.cancel()
        if request.entry.events and answer.HasField("response") and not _confirms(answer, len(request.entry.events)):
            raise ServiceUnavailable("the service did not read all of the events")
        return answer

    async def refused(self, seconds: float) -> str:
        """Ask with a call that carries nothing."""
        try:
            response = await self._call([], timeout=seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                return error.details() or "contract"
            return "refused" if error.code() == grpc.StatusCode.PERMISSION_DENIED else ""
        return _unserved(response)

    async def close(self) -> None:
        """Take nothing more, and wait for what was taken."""
        self._closed = True
        while self._calls:
            await asyncio.wait(self._calls)

    def _send_waiting(self) -> None:
        while self._waiting and len(self._calls) < self._gathering.calls_in_flight:
            batch = self._take()
            if batch:
                call = asyncio.create_task(self._send(batch))
                self._calls.add(call)
                call.add_done_callback(self._sent)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0].frame) <= self._gathering.call_bytes):
            waiting = self._waiting.popleft()
            self._waiting_bytes -= len(waiting.frame)
            if waiting.answer.done():
                continue
            batch.append(waiting)
            size += len(waiting.frame)
        return batch

    def _sent(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._send_waiting()

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        self._watch_call(len(batch))
        # Nobody waits any longer than the last who came; the others' own patience may end before.
        patience = batch[-1].since + self._gathering.answer_seconds - self._clock()
        try:
            response = await self._called([waiting.frame for waiting in batch], max(patience, 0))
            answers = response.answers
            if unserved := _unserved(response):
                raise ServiceUnavailable(unserved)
            if len(answers) != len(batch):
                raise ServiceUnavailable(f"the service gave {len(answers)} answers to {len(batch)} requests")
        except ServiceUnavailable as unavailable:
            self._fail(batch, str(unavailable))
        except grpc.aio.AioRpcError as error:
            self._fail(batch, f"the service answered {error.code().name}: {error.details()}")
        except BaseException:
            # Whoever waits hears of it whatever happens here; the task itself still ends with the exception.
            self._fail(batch, "the call to the service broke off")
            raise
        else:
            self._note(failing=False, reason="")
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)

    def _called(self, frames: Sequence[bytes], seconds: float) -> Any:
        # Only a frame that goes alone is so large.
        if len(frames[0]) <= PART_BYTES:
            return self._call(frames, timeout=seconds, metadata=self._metadata)
        frame = memoryview(frames[0])
        parts = (bytes(frame[start : start + PART_BYTES]) for start in range(0, len(frame), PART_BYTES))
        return self._call_in_parts(parts, timeout=seconds, metadata=self._metadata)

    def _fail(self, batch: Sequence[_Waiting], reason: str) -> None:
        self._note(failing=True, reason=reason)
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(ServiceUnavailable(reason))

    @staticmethod
    def _fail_late(waiting: _Waiting) -> None:
        if not waiting.answer.done():
            waiting.answer.set_exception(ServiceUnavailable("the service did not answer in time"))

    def _note(self, *, failing: bool, reason: str) -> None:
        # The turn of events is logged, not every call: an outage at full load would fill a disk.
        if failing != self._failing:
            self._failing = failing
            if failing:
                structlog.get_logger().error("the ingest service does not answer", reason=reason)
            else:
                structlog.get_logger().info("the ingest service answers again")


def _unserved(response: ingest_service_pb2.IngestGatheredResponse) -> str:
    if (spoken := response.contract or 1) < CONTRACT - 1:
        return f"the service speaks contract {spoken}, and this gateway {CONTRACT - 1} and {CONTRACT}: upgrade it"
    return ""


def _confirms(answer: ingest_service_pb2.GatheredAnswer, events: int) -> bool:
    """Whether the answer is to so many events. Of contract 1 it does not say: then something must be said of them."""
    if answer.HasField("events"):
        return answer.events == events
    return bool(answer.response.receipt or answer.response.results or answer.dry_run_events)


def _frame(encoded: bytes) -> bytes:
    """Put the tag of IngestGatheredRequest.requests and the length before an encoded GatheredRequest."""
    return _REQUESTS + varint(len(encoded)) + encoded
