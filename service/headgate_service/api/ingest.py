"""IngestService over gRPC: each call becomes submissions, each verdict an answer. No status code is chosen here."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status
from headgate.v1 import event_pb2, log_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import (
    GatheredAnswer,
    GatheredRequest,
    IngestEventsRequest,
    IngestEventsResponse,
    IngestGatheredRequest,
    IngestGatheredResponse,
    StreamEventsRequest,
    StreamEventsResponse,
)
from headgate.v1.ingest_service_pb2_grpc import IngestServiceServicer

from headgate_service.api.rpc_status import refusal_status
from headgate_service.auth.metadata import bearer_key, metadata_value
from headgate_service.ingest.pipeline import Ingest, Submission
from headgate_service.ingest.refusal import Refused
from headgate_service.model.event_rules import EventFault, stored_form

_log = structlog.get_logger()


class GatheredRequests:
    """Answers them one by one. Events are changed on their way: they are the callee's from the call on."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def answer(self, request: GatheredRequest) -> GatheredAnswer:
        """Its own answer, whatever becomes of others; never raises."""
        submission = Submission(
            dialect=request.dialect,
            entry=request.entry,
            credential=request.credential,
            project=request.project,
            origin=request.origin,
            client_address=request.client_address,
            idempotency_key=request.idempotency_key,
            request_hash=request.body_hash,
            dry_run=request.dry_run,
            refused=request.refused,
            refused_reason=request.refused_reason,
            each=request.each,
            all_or_nothing=request.all_or_nothing,
            experiments=request.experiments if request.HasField("experiments") else None,
        )
        try:
            return await self._ingest.take(submission)
        except Refused as refused:
            return GatheredAnswer(refusal=refused.refusal, limits=refused.limits)
        except Exception:  # noqa: BLE001 - the outermost edge of one request: a defect must not refuse its neighbours
            _log.exception("a gathered request failed", dialect=request.dialect)
            return GatheredAnswer(
                refusal=outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_UNAVAILABLE, message="not confirmed: retry")
            )


MAX_EVENTS = 1000
MAX_BYTES = 4 * 1024 * 1024
MAX_IDEMPOTENCY_KEY = 255

_GATEWAY_TOKEN = "headgate-gateway-token"  # noqa: S105 - the metadata's name
_PROJECT = "x-headgate-project"


class IngestServicer(IngestServiceServicer):
    """`gateway_token` is what Headgate's own gateways show."""

    def __init__(self, ingest: Ingest, gateway_token: str) -> None:
        self._ingest = ingest
        self._gathered = GatheredRequests(ingest)
        self._gateway_token = gateway_token.encode()

    async def IngestEvents(self, request: IngestEventsRequest, context: Any) -> IngestEventsResponse:
        try:
            return await self._take(request, bearer_key(context), metadata_value(context, _PROJECT))
        except Refused as refused:
            await context.abort_with_status(rpc_status.to_status(refusal_status(refused)))
            raise

    async def StreamEvents(
        self, requests: AsyncIterator[StreamEventsRequest], context: Any
    ) -> AsyncIterator[StreamEventsResponse]:
        key, project = bearer_key(context), metadata_value(context, _PROJECT)
        async for message in requests:
            try:
                response = await self._take(message.request, key, project)
            except Refused as refused:
                yield StreamEventsResponse(refusal=refused.refusal)
            else:
                yield StreamEventsResponse(response=response)

    async def IngestGathered(self, request: IngestGatheredRequest, context: Any) -> IngestGatheredResponse:
        shown = metadata_value(context, _GATEWAY_TOKEN).encode()
        if not hmac.compare_digest(shown, self._gateway_token):
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                f"IngestGathered is for Headgate's own gateways: the metadata {_GATEWAY_TOKEN} does not match",
            )
        answers = await asyncio.gather(*map(self._gathered.answer, request.requests))
        return IngestGatheredResponse(answers=answers)

    async def _take(self, request: IngestEventsRequest, key: str, project: str) -> IngestEventsResponse:
        if (unfit := _unfit(request)) is not None:
            await self._count_refused(request, key, project, outcome_pb2.REASON_INVALID)
            raise unfit
        request_hash = _request_hash(request) if request.idempotency_key else b""
        faults = _faults(request)
        if faults and request.all_or_nothing:
            await self._count_refused(request, key, project, next(iter(faults.values())).reason)
            raise _refused_whole(request, faults)
        good = [index for index in range(len(request.events)) if index not in faults]
        entry = log_pb2.LogEntry()
        if faults:
            entry.events.extend(request.events[index] for index in good)
        else:
            entry.events.MergeFrom(request.events)
        answer = await self._ingest.take(
            Submission(
                dialect=event_pb2.DIALECT_GRPC,
                entry=entry,
                credential=key,
                project=project,
                idempotency_key=request.idempotency_key,
                request_hash=request_hash,
                dry_run=request.dry_run,
                refused=len(faults),
                refused_reason=next(iter(faults.values())).reason if faults else outcome_pb2.REASON_UNSPECIFIED,
                each=True,
                all_or_nothing=request.all_or_nothing,
            )
        )
        return _with_refused(answer.response, request, good, faults) if faults else answer.response

    async def _count_refused(
        self, request: IngestEventsRequest, key: str, project: str, reason: outcome_pb2.Reason
    ) -> None:
        """Counts the events of a refused request for its caller. Raises Refused where the caller may not enter: who
        cannot, hears that first."""
        await self._ingest.take(
            Submission(
                dialect=event_pb2.DIALECT_GRPC,
                entry=log_pb2.LogEntry(),
                credential=key,
                project=project,
                dry_run=request.dry_run,
                refused=len(request.events),
                refused_reason=reason,
            )
        )


def _unfit(request: IngestEventsRequest) -> Refused | None:
    """Why the request cannot be taken, whatever its events are."""
    if not request.events:
        fault = outcome_pb2.EventFault(field="events", message="must hold at least 1 event")
        return Refused.because(outcome_pb2.CAUSE_INVALID, "the request holds no event", faults=(fault,))
    if len(request.events) > MAX_EVENTS:
        return Refused.because(
            outcome_pb2.CAUSE_TOO_LARGE,
            f"{len(request.events)} events are over the {MAX_EVENTS} of a request: send parts",
        )
    if request.ByteSize() > MAX_BYTES:
        return Refused.because(
            outcome_pb2.CAUSE_TOO_LARGE, f"{request.ByteSize()} bytes are over the {MAX_BYTES} of a request: send parts"
        )
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
            result.event_id, result.field, result.message = request.events[index].event_id, fault.field, fault.message
        else:
            result.CopyFrom(accepted[index])
        result.index = index
    return response
