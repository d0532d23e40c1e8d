"""Limits as the operator and the project's plan set them, and their state as an answer shows it."""

from datetime import timedelta

from headgate.v1 import outcome_pb2

from headgate_service.log.append import Rate, Verdict


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
