"""Limits as the operator and the project's plan set them, and their state as an answer shows it."""

from dataclasses import dataclass
from datetime import timedelta

from headgate.v1 import event_pb2, outcome_pb2

from headgate_service.log.append import Rate, Verdict
from headgate_service.project_fields import RateLimit


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Which rate limit applies where. None: none.

    `keys` is for the HTTP APIs that take a key, unless the project's plan sets another; `codcompass` is per client
    address, as that API knows no one; `grpc` is for internal callers.
    """

    keys: RateLimit | None = None
    codcompass: RateLimit | None = None
    grpc: RateLimit | None = None

    def of(self, dialect: event_pb2.Dialect, plan: RateLimit | None) -> RateLimit | None:
        if dialect == event_pb2.DIALECT_CODCOMPASS:
            return self.codcompass
        if dialect == event_pb2.DIALECT_GRPC:
            return self.grpc
        return plan or self.keys


def limit_state(verdict: Verdict, rate: Rate | None, monthly_limit: int | None) -> outcome_pb2.LimitState | None:
    """The limits that apply, as they stand after the verdict; None where none applies."""
    if rate is None and monthly_limit is None:
        return None
    state = outcome_pb2.LimitState()
    if rate is not None:
        state.rate.limit = rate.limit
        state.rate.used = verdict.rate_used
        state.rate.length.FromMilliseconds(rate.window_ms)
        state.rate.reset.FromMilliseconds(verdict.rate_left_ms)
    if monthly_limit is not None:
        state.month.limit = monthly_limit
        state.month.used = verdict.month_used
        state.month.length.FromMilliseconds(verdict.month_ms)
        state.month.reset.FromMilliseconds(verdict.month_left_ms)
    return state


def until_next_window(verdict: Verdict) -> timedelta:
    return timedelta(milliseconds=verdict.rate_left_ms)


def until_next_month(verdict: Verdict) -> timedelta:
    return timedelta(milliseconds=verdict.month_left_ms)
