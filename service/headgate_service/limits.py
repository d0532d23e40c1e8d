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


def tell_limits(state: outcome_pb2.LimitState, verdict: Verdict, rate: Rate | None, monthly_limit: int | None) -> None:
    """Writes the limits that apply, as they stand after the verdict."""
    if rate is not None:
        _fill(state.rate, rate.limit, verdict.rate_used, rate.window_ms, verdict.rate_left_ms)
    if monthly_limit is not None:
        _fill(state.month, monthly_limit, verdict.month_used, verdict.month_ms, verdict.month_left_ms)


def _fill(window: outcome_pb2.Window, limit: int, used: int, length_ms: int, left_ms: int) -> None:
    window.limit, window.used = limit, used
    # By hand: Duration's own way takes four times as long, and this is done for each request.
    window.length.seconds = length_ms // 1000
    reset = window.reset
    reset.seconds, reset.nanos = left_ms // 1000, left_ms % 1000 * 1_000_000


def until_next_window(verdict: Verdict) -> timedelta:
    return timedelta(milliseconds=verdict.rate_left_ms)


def until_next_month(verdict: Verdict) -> timedelta:
    return timedelta(milliseconds=verdict.month_left_ms)
