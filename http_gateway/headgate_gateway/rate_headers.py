"""The limits that apply to a request, as the RateLimit fields of the IETF draft, and Retry-After."""

from google.protobuf.duration_pb2 import Duration
from headgate.v1 import outcome_pb2


def rate_headers(limits: outcome_pb2.LimitState) -> dict[str, str]:
    """Word the burst window and the monthly quota, those that apply, as RateLimit-Policy and RateLimit."""
    bursts, months = limits.HasField("rate"), limits.HasField("month")
    if not bursts:
        return _worded("month", limits.month, ';qu="events"') if months else {}
    headers = _worded("burst", limits.rate, "")
    if months:
        for name, value in _worded("month", limits.month, ';qu="events"').items():
            headers[name] = f"{headers[name]}, {value}"
    return headers


def _worded(name: str, window: outcome_pb2.Window, unit: str) -> dict[str, str]:
    limit = window.limit
    return {
        "RateLimit-Policy": f'"{name}";q={limit}{unit};w={whole_seconds(window.length)}',
        "RateLimit": f'"{name}";r={max(0, limit - window.used)};t={whole_seconds(window.reset)}',
    }


def whole_seconds(duration: Duration) -> int:
    """Round up: a client that waits this long has waited long enough."""
    seconds = duration.seconds + (duration.nanos > 0)
    return max(0, seconds)


def retry_after(duration: Duration) -> str:
    """Word a wait as Retry-After; at least one second."""
    return str(max(1, whole_seconds(duration)))
