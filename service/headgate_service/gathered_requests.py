"""What gateways ask: requests that they understood, each with its credential and its own answer."""

import structlog
from headgate.v1 import event_pb2, outcome_pb2
from headgate.v1.ingest_service_pb2 import GatheredAnswer, GatheredRequest

from headgate_service.ingest import Ingest, Submission
from headgate_service.refused import Refused

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
            _log.exception("a gathered request failed", dialect=event_pb2.Dialect.Name(request.dialect))
            return GatheredAnswer(
                refusal=outcome_pb2.Refusal(cause=outcome_pb2.CAUSE_UNAVAILABLE, message="not confirmed: retry")
            )
