"""A request refused whole."""

from dataclasses import dataclass
from datetime import timedelta

from headgate.v1 import outcome_pb2

from headgate_service.errors import Fault


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
