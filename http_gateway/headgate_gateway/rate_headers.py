"""The limits that apply to a request, as the RateLimit fields of the IETF draft, and Retry-After."""

from google.protobuf.duration_pb2 import Duration
from headgate.v1 import outcome_pb2


def rate_headers(limits: outcome_pb2.LimitState) -> dict[str, str]:
    """Word the burst window and the monthly quota, those that apply, as RateLimit-Policy and RateLimit."""
    policies: list[str] = []
    states: list[str] = []
    for name, present, window, unit in (
        ("burst", limits.HasField("rate"), limits.rate, ""),
        ("month", limits.HasField("month"), limits.month, ';qu="events"'),
    ):
        if not present:
            continue
        policies.append(f'"{name}";q={window.limit}{unit};w={whole_seconds(window.length)}')
        states.append(f'"{name}";r={max(0, window.limit - window.used)};t={whole_seconds(window.reset)}')
    if not policies:
        return {}
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def whole_seconds(duration: Duration) -> int:
    """Round up: a client that waits this long has waited long enough."""
    return max(0, duration.seconds + (1 if duration.nanos > 0 else 0))


def retry_after(duration: Duration) -> str:
    """Word a wait as Retry-After; at least one second."""
    return str(max(1, whole_seconds(duration)))
