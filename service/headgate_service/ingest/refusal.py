"""A request refused whole, and the one table from its cause to a gRPC status."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from headgate.v1 import outcome_pb2

from headgate_service.errors import Fault

MAX_TOLD_BYTES = 4_000

GRPC_STATUS: dict[outcome_pb2.Cause, grpc.StatusCode] = {
    outcome_pb2.CAUSE_CREDENTIAL_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    outcome_pb2.CAUSE_CREDENTIAL_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    outcome_pb2.CAUSE_CREDENTIAL_KIND: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_SCOPE_MISSING: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_PROJECT_FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_PROJECT_GONE: grpc.StatusCode.NOT_FOUND,
    outcome_pb2.CAUSE_ORIGIN_FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    outcome_pb2.CAUSE_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    # RESOURCE_EXHAUSTED is for limits that time lifts; a request that is too large stays so.
    outcome_pb2.CAUSE_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    outcome_pb2.CAUSE_RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    outcome_pb2.CAUSE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

_QUOTA_SUBJECT = {
    outcome_pb2.CAUSE_RATE_LIMITED: "requests",
    outcome_pb2.CAUSE_QUOTA_EXCEEDED: "events this month",
}


@dataclass(eq=False)
class Refused(Exception):
    """A request is refused whole. `limits` is their state where they were looked at before."""

    refusal: outcome_pb2.Refusal
    limits: outcome_pb2.LimitState | None = None
    faults: tuple[Fault, ...] = ()

    @classmethod
    def because(
        cls,
        cause: outcome_pb2.Cause,
        message: str,
        retry_after: timedelta | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> "Refused":
        return cls(outcome_pb2.Refusal(cause=cause, message=message, retry_after=retry_after), faults=faults)

    @property
    def reason(self) -> str:
        """The cause as ErrorInfo and the ledger name it, such as RATE_LIMITED."""
        return outcome_pb2.Cause.Name(self.refusal.cause).removeprefix("CAUSE_")


def rpc_status(refused: Refused) -> Status:
    """The refusal as google.rpc.Status: ErrorInfo always; BadRequest, QuotaFailure and RetryInfo where they apply."""
    refusal = refused.refusal
    details: list[Any] = [
        _packed(
            error_details_pb2.ErrorInfo(
                reason=refused.reason,
                domain="headgate",
                metadata={"limit": str(refusal.limit), "used": str(refusal.used)}
                if refusal.cause in _QUOTA_SUBJECT
                else {},
            )
        )
    ]
    if refused.faults:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=fault.path, description=fault.message)
            for fault in _told(refused.faults)
        ]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    if subject := _QUOTA_SUBJECT.get(refusal.cause):
        violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=refusal.message)
        details.append(_packed(error_details_pb2.QuotaFailure(violations=[violation])))
    if refusal.HasField("retry_after"):
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=refusal.retry_after)))
    return Status(code=GRPC_STATUS[refusal.cause].value[0], message=refusal.message, details=details)


def _told(faults: Sequence[Fault]) -> Iterator[Fault]:
    """The first faults, as many as a status can bear, which travels in HTTP headers."""
    left = MAX_TOLD_BYTES
    for place, fault in enumerate(faults):
        left -= len(fault.path.encode()) + len(fault.message.encode()) + 8
        if place and left < 0:
            return
        yield fault


def _packed(detail: error_details_pb2.ErrorInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
