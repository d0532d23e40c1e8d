"""Limits as the operator and the project's plan set them, and their state as an answer shows it."""

from datetime import timedelta

from headgate.v1 import outcome_pb2

from headgate_service.ingest.refusal import Refused
from headgate_service.log.append import LogProject, Rate, Verdict

RETRY_FULL = timedelta(seconds=10)


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


def refuse(verdict: Verdict, rate: Rate | None, project: LogProject) -> Refused | None:
    """The refusal that the log's verdict means, with the state of the limits. None: it refuses nothing."""
    match verdict.status:
        case "mismatch":
            refused = Refused.because(
                outcome_pb2.CAUSE_IDEMPOTENCY_MISMATCH,
                "this idempotency key was used within 24 hours for another request: use a new key",
            )
        case "full":
            refused = Refused.because(
                outcome_pb2.CAUSE_UNAVAILABLE,
                "the log is full because a sink that must not lose events is behind: retry later",
                RETRY_FULL,
            )
        case "rate":
            assert rate is not None  # noqa: S101 - the script refuses by a limit only if one was given
            refused = Refused.because(
                outcome_pb2.CAUSE_RATE_LIMITED,
                f"over {rate.limit} requests in {rate.window_ms // 1000} s: retry when the next window begins",
                timedelta(milliseconds=verdict.rate_left_ms),
            )
            refused.refusal.limit, refused.refusal.used = rate.limit, verdict.rate_used
        case "quota":
            assert project.monthly_limit is not None  # noqa: S101 - as above
            refused = Refused.because(
                outcome_pb2.CAUSE_QUOTA_EXCEEDED,
                f"the month's limit of {project.monthly_limit} events has no room for {verdict.fresh} more: "
                "none was counted",
                timedelta(milliseconds=verdict.month_left_ms),
            )
            refused.refusal.limit, refused.refusal.used = project.monthly_limit, verdict.month_used
        case _:
            return None
    refused.limits = outcome_pb2.LimitState()
    tell_limits(refused.limits, verdict, rate, project.monthly_limit)
    return refused
