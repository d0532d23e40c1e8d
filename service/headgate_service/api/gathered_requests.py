"""The requests that a gateway gathers in one call, each with its own answer."""

import structlog
from google.protobuf.unknown_fields import UnknownFieldSet
from headgate.v1 import outcome_pb2
from headgate.v1.ingest_service_pb2 import GatheredAnswer, GatheredRequest

from headgate_service.ingest.pipeline import Ingest, Submission
from headgate_service.ingest.refusal import Refused
from headgate_service.model.api import access_before, api_of

_log = structlog.get_logger()


class GatheredRequests:
    """Answers them one by one. Events are changed on their way: they are the callee's from the call on."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def answer(self, request: GatheredRequest) -> GatheredAnswer:
        """Its own answer, whatever becomes of others; never raises."""
        events = len(request.entry.events)
        if not events and _has_unread(request):
            return _not_understood()
        try:
            submission = Submission(
                api=api_of(request.access.SerializeToString() or access_before(request.dialect)),
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
                faults=request.refused_faults,
                sample=request.refused_sample,
                each=request.each,
                all_or_nothing=request.all_or_nothing,
                experiments=request.experiments if request.HasField("experiments") else None,
            )
            answer = await self._ingest.take(submission)
            answer.events = events
            return answer
        except Refused as refused:
            return GatheredAnswer(refusal=refused.refusal, limits=refused.limits)
        except Exception:  # noqa: BLE001 - the outermost edge of one request: a defect must not refuse its neighbours
            _log.exception("a gathered request failed", dialect=request.access.name)
            return GatheredAnswer(
                refusal=outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_UNAVAILABLE, message="not confirmed: retry")
            )


def _has_unread(request: GatheredRequest) -> bool:
    """Whether there are fields in it of another revision, which may be its events."""
    return len(UnknownFieldSet(request)) > 0 or len(UnknownFieldSet(request.entry)) > 0


def _not_understood() -> GatheredAnswer:
    message = "not accepted: the gateway and the service are of different revisions"
    return GatheredAnswer(refusal=outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_UNAVAILABLE, message=message))
