"""A request refused whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from headgate.v1 import outcome_pb2

MAX_FAULTS = 100


@dataclass(eq=False)
class Refused(Exception):
    """A request is refused whole. `limits` is their state where they were looked at before; `event_reason` is why its
    events are refused in the ledger, where it is not the cause."""

    refusal: outcome_pb2.Refusal
    limits: outcome_pb2.LimitState | None = None
    event_reason: outcome_pb2.Reason = outcome_pb2.REASON_UNSPECIFIED

    @classmethod
    def because(
        cls,
        cause: outcome_pb2.Cause,
        message: str,
        retry_after: timedelta | None = None,
        faults: Sequence[outcome_pb2.EventFault] = (),
        event_reason: outcome_pb2.Reason = outcome_pb2.REASON_UNSPECIFIED,
    ) -> "Refused":
        """Of the faults it names the first 100, and says how many more there are."""
        refusal = outcome_pb2.Refusal(
            cause=cause,
            message=message,
            retry_after=retry_after,
            faults=faults[:MAX_FAULTS],
            faults_left_out=max(0, len(faults) - MAX_FAULTS),
        )
        return cls(refusal, event_reason=event_reason)

    @property
    def reason(self) -> str:
        """The cause as ErrorInfo and the ledger name it, such as RATE_LIMITED."""
        return outcome_pb2.Cause.Name(self.refusal.cause).removeprefix("CAUSE_")
