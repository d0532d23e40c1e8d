"""IngestService over gRPC: each call becomes submissions, each verdict an answer. No status code is chosen here."""

import asyncio
import contextlib
import hmac
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf.message import DecodeError
from headgate.v1 import log_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import (
    IngestEventsRequest,
    IngestEventsResponse,
    IngestGatheredRequest,
    IngestGatheredResponse,
    StreamEventsResponse,
)

from headgate_service.api.calls import STOPPING, Calls
from headgate_service.api.gathered_requests import GatheredRequests
from headgate_service.api.ingest_message import IngestMessages, Unreadable
from headgate_service.api.message_stream import MessageStream
from headgate_service.api.rpc_status import abort, call_status, refusal_status
from headgate_service.auth.contract import CONTRACT, check_contract
from headgate_service.auth.metadata import bearer_key, metadata_value
from headgate_service.config import ConnectionTerms
from headgate_service.errors import (
    ConnectionOld,
    ContractUnserved,
    GatewayTokenInvalid,
    MessageInvalid,
    MessageTooLarge,
    ServiceStopping,
    TooManyStreams,
)
from headgate_service.ingest.pipeline import Ingest, Submission
from headgate_service.ingest.refusal import Refused
from headgate_service.model.api import GRPC
from headgate_service.model.event_rules import MAX_EVENT_ID_BYTES, EventFault, clear_zero_times, stored_form
from headgate_service.policy.decision import MAX_WARNED

_TAKEN = (outcome_pb2.OUTCOME_ACCEPTED, outcome_pb2.OUTCOME_DUPLICATE)

# What no later message of the stream changes.
_SHUT_OUT = (
    outcome_pb2.CAUSE_CREDENTIAL_INVALID,
    outcome_pb2.CAUSE_SCOPE_MISSING,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN,
    outcome_pb2.CAUSE_PROJECT_GONE,
)
CHECK_SECONDS = 5.0
"""How often a quiet stream's credential is looked at."""

MAX_IDEMPOTENCY_KEY = 255
MAX_GATHERED_BYTES = 32 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024

_GATEWAY_TOKEN = "headgate-gateway-token"  # noqa: S105 - the metadata's name
_PROJECT = "x-headgate-project"


class _Sender(NamedTuple):
    """Who sends, as the metadata says."""

    key: str
    project: str

    @classmethod
    def of(cls, context: Any) -> "_Sender":
        return cls(bearer_key(context), metadata_value(context, _PROJECT))


class IngestServicer:
    """The methods take bytes, unread until the caller is known: see `add_ingest`. `gateway_token` is what Headgate's
    own gateways show."""

    def __init__(self, ingest: Ingest, gateway_token: str, calls: Calls, terms: ConnectionTerms) -> None:
        self._ingest = ingest
        self._gathered = GatheredRequests(ingest)
        self._gateway_token = gateway_token.encode()
        self._calls = calls
        self._terms = terms
        self._streams: Counter[str] = Counter()
        self._metrics = metrics = calls.metrics
        self._messages = IngestMessages(metrics.corrupt.inc, metrics.mended.inc)

    async def IngestEvents(self, messages: AsyncIterator[bytes], context: Any) -> IngestEventsResponse:
        sender = _Sender.of(context)
        try:
            await self._ingest.admit(GRPC, sender.key, sender.project)
            # Cheaper than the iterator's own way to it.
            message = await context.read()
            if message is grpc.aio.EOF:
                message = b""
            self._metrics.read_bytes.inc(len(message))
            return await self._take(message, sender)
        except Refused as refused:
            await self._end(context, refused)

    async def StreamEvents(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[StreamEventsResponse]:
        sender = _Sender.of(context)
        try:
            caller = await self._ingest.admit(GRPC, sender.key, sender.project)
            with self._one_more_stream(caller):
                stream = MessageStream(lambda message: self._answer(message, sender), self._until_over(sender))
                async for answer in stream.answers(messages):
                    yield answer
        except Refused as refused:
            await self._end(context, refused)
        except (TooManyStreams, ConnectionOld, ServiceStopping) as error:
            await abort(context, error)

    @contextlib.contextmanager
    def _one_more_stream(self, caller: str) -> Iterator[None]:
        if self._streams[caller] >= self._terms.streams:
            raise TooManyStreams(f"the key has {self._terms.streams} streams open: use them, or close one")
        self._streams[caller] += 1
        try:
            yield
        finally:
            self._streams[caller] -= 1
            if not self._streams[caller]:
                del self._streams[caller]

    async def _answer(self, message: bytes, sender: _Sender) -> StreamEventsResponse:
        """Raises Refused where the caller is shut out, which ends the stream."""
        self._metrics.read_bytes.inc(len(message))
        try:
            return StreamEventsResponse(response=await self._take_streamed(message, sender))
        except Refused as refused:
            if refused.refusal.cause in _SHUT_OUT:
                raise
            self._metrics.refusals.labels(refused.reason).inc()
            return StreamEventsResponse(refusal=refused.refusal)

    async def _end(self, context: Any, refused: Refused) -> NoReturn:
        self._metrics.refusals.labels(refused.reason).inc()
        await context.abort_with_status(call_status(refusal_status(refused)))
        raise AssertionError("abort raises")

    async def _until_over(self, sender: _Sender) -> None:
        """Raises why a stream ends, when it does: the service stops, the connection is old, the caller is shut out."""
        now, longest = asyncio.get_running_loop().time, self._terms.stream_seconds
        ends = now() + longest if longest is not None else math.inf
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(CHECK_SECONDS, max(ends - now(), 0))):
                    await self._calls.stopped.wait()
                raise ServiceStopping(STOPPING)
            if now() >= ends:
                raise ConnectionOld("the connection is old: go on with another, by what was not answered")
            try:
                await self._ingest.admit(GRPC, sender.key, sender.project)
            except Refused as refused:
                if refused.refusal.cause in _SHUT_OUT:
                    raise

    async def IngestGathered(self, messages: AsyncIterator[bytes], context: Any) -> IngestGatheredResponse:
        """A request of over 4 MiB comes in parts: no message of this port is larger."""
        shown = metadata_value(context, _GATEWAY_TOKEN).encode()
        if not hmac.compare_digest(shown, self._gateway_token):
            await abort(
                context,
                GatewayTokenInvalid(
                    f"IngestGathered is for Headgate's own gateways: the metadata {_GATEWAY_TOKEN} does not match"
                ),
            )
        try:
            check_contract(context)
        except ContractUnserved as unserved:
            await abort(context, unserved)
        try:
            request = IngestGatheredRequest.FromString(await self._joined(messages, context))
        except DecodeError:
            self._metrics.corrupt.inc()
            await abort(context, MessageInvalid("the message is not an IngestGatheredRequest"))
        answers = await asyncio.gather(*map(self._gathered.answer, request.requests))
        return IngestGatheredResponse(answers=answers, contract=CONTRACT)

    async def _joined(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        parts, size = [], 0
        async for part in messages:
            parts.append(part)
            size += len(part)
            if size > MAX_GATHERED_BYTES:
                await abort(context, MessageTooLarge(f"over {MAX_GATHERED_BYTES} bytes are too many for a call"))
        self._metrics.read_bytes.inc(size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _take_streamed(self, message: bytes, sender: _Sender) -> IngestEventsResponse:
        try:
            message = self._messages.streamed(message)
        except Unreadable as unreadable:
            raise unreadable.refused from unreadable
        return await self._take(message, sender)

    async def _take(self, message: bytes, sender: _Sender) -> IngestEventsResponse:
        try:
            request = self._messages.request(message)
        except Unreadable as unreadable:
            await self._count_refused(sender, unreadable.events, outcome_pb2.REASON_INVALID, unreadable.dry_run)
            raise unreadable.refused from unreadable
        if (unfit := _unfit(request)) is not None:
            await self._count_refused(sender, len(request.events), outcome_pb2.REASON_INVALID, request.dry_run)
            raise unfit
        request_hash = _request_hash(request) if request.idempotency_key else b""
        warnings = {index: found for index, event in enumerate(request.events) if (found := clear_zero_times(event))}
        faults = _faults(request)
        if faults and request.all_or_nothing:
            reason = next(iter(faults.values())).reason
            await self._count_refused(sender, len(request.events), reason, request.dry_run)
            raise _refused_whole(request, faults)
        good = [index for index in range(len(request.events)) if index not in faults]
        entry = log_pb2.LogEntry()
        if faults:
            entry.events.extend(request.events[index] for index in good)
        else:
            entry.events.MergeFrom(request.events)
        answer = await self._ingest.take(
            Submission(
                api=GRPC,
                entry=entry,
                credential=sender.key,
                project=sender.project,
                idempotency_key=request.idempotency_key,
                request_hash=request_hash,
                dry_run=request.dry_run,
                refused=len(faults),
                refused_reason=next(iter(faults.values())).reason if faults else outcome_pb2.REASON_UNSPECIFIED,
                each=True,
                all_or_nothing=request.all_or_nothing,
            )
        )
        response = _with_refused(answer.response, request, good, faults) if faults else answer.response
        if warnings:
            _add_warnings(response, warnings)
        if faults or response.warned:
            _fit(response)
        return response

    async def _count_refused(
        self,
        sender: _Sender,
        events: int,
        reason: outcome_pb2.Reason,
        dry_run: bool,
    ) -> None:
        """Counts the events of a refused request for its caller. Raises Refused where the caller may not enter: who
        cannot, hears that first."""
        await self._ingest.take(
            Submission(
                api=GRPC,
                entry=log_pb2.LogEntry(),
                credential=sender.key,
                project=sender.project,
                dry_run=dry_run,
                refused=events,
                refused_reason=reason,
            )
        )


def _unfit(request: IngestEventsRequest) -> Refused | None:
    """Why the request cannot be taken, whatever its events are."""
    if not request.events:
        fault = outcome_pb2.EventFault(field="events", message="must hold at least 1 event")
        return Refused.because(outcome_pb2.CAUSE_INVALID, "the request holds no event", faults=(fault,))
    key = request.idempotency_key
    if len(key) > MAX_IDEMPOTENCY_KEY or not all("!" <= character <= "~" for character in key):
        fault = outcome_pb2.EventFault(
            field="idempotency_key", message=f"must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters"
        )
        return Refused.because(outcome_pb2.CAUSE_INVALID, "the idempotency key is malformed", faults=(fault,))
    return None


def _refused_whole(request: IngestEventsRequest, faults: dict[int, EventFault]) -> Refused:
    return Refused.because(
        outcome_pb2.CAUSE_INVALID,
        f"{len(faults)} of {len(request.events)} events are not acceptable, and the request is all or nothing",
        faults=[
            outcome_pb2.EventFault(index=index, field=fault.field, message=fault.message)
            for index, fault in faults.items()
        ],
    )


def _request_hash(request: IngestEventsRequest) -> bytes:
    return sha256(request.SerializeToString(deterministic=True)).digest()


def _faults(request: IngestEventsRequest) -> dict[int, EventFault]:
    found = ((index, stored_form(event)) for index, event in enumerate(request.events))
    return {index: fault for index, fault in found if fault is not None}


def add_ingest(servicer: IngestServicer, server: Any) -> None:
    """Registers the service at a server, with methods that get bytes. Those that take one message take it as a stream
    does: grpcio reads it where it is asked for, and not before the method is called."""
    methods: dict[str, Any] = {
        "IngestEvents": grpc.stream_unary_rpc_method_handler(
            servicer.IngestEvents, None, IngestEventsResponse.SerializeToString
        ),
        "StreamEvents": grpc.stream_stream_rpc_method_handler(
            servicer.StreamEvents, None, StreamEventsResponse.SerializeToString
        ),
        "IngestGathered": grpc.stream_unary_rpc_method_handler(
            servicer.IngestGathered, None, IngestGatheredResponse.SerializeToString
        ),
    }
    server.add_registered_method_handlers("headgate.v1.IngestService", methods)


def _add_warnings(response: IngestEventsResponse, warnings: dict[int, list[str]]) -> None:
    for index, found in warnings.items():
        result = response.results[index]
        if result.outcome not in _TAKEN:
            continue
        response.warned += not result.warnings
        if response.warned <= MAX_WARNED:
            result.warnings.extend(found)


def _fit(response: IngestEventsResponse) -> None:
    """Leaves out what an answer can do without where it is larger than a client takes: its results say the rest."""
    for field in ("warnings", "message"):
        if response.ByteSize() <= MAX_ANSWER_BYTES:
            return
        for result in response.results:
            result.ClearField(field)


def _with_refused(
    taken: IngestEventsResponse, request: IngestEventsRequest, good: list[int], faults: dict[int, EventFault]
) -> IngestEventsResponse:
    """The response with the refused events' results in their places."""
    accepted = dict(zip(good, taken.results, strict=True))
    response = IngestEventsResponse()
    response.CopyFrom(taken)
    response.ClearField("results")
    for index in range(len(request.events)):
        result = response.results.add()
        if index in faults:
            fault = faults[index]
            result.outcome, result.reason = outcome_pb2.OUTCOME_REFUSED, fault.reason
            result.field, result.message = fault.field, fault.message
            if len((event_id := request.events[index].event_id).encode()) <= MAX_EVENT_ID_BYTES:
                result.event_id = event_id
        else:
            result.CopyFrom(accepted[index])
        result.index = index
    return response
