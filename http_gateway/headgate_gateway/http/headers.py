"""The headers of a request, as the gateway and its dialects read them."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headgate.v1 import outcome_pb2


def rate_headers(limits: outcome_pb2.LimitState) -> dict[str, str]:
    """Word the burst window and the monthly quota, those that apply, as RateLimit-Policy and RateLimit."""
    policy = state = ""
    if limits.HasField("rate"):
        policy, state = _worded("burst", limits.rate, "")
    if limits.HasField("month"):
        monthly, left = _worded("month", limits.month, ';qu="events"')
        policy, state = (f"{policy}, {monthly}", f"{state}, {left}") if policy else (monthly, left)
    return {"RateLimit-Policy": policy, "RateLimit": state} if policy else {}


def _worded(name: str, window: outcome_pb2.Window, unit: str) -> tuple[str, str]:
    limit, reset = window.limit, window.reset
    return (
        f'"{name}";q={limit}{unit};w={window.length.seconds}',
        f'"{name}";r={max(0, limit - window.used)};t={reset.seconds + (reset.nanos > 0)}',
    )


def whole_seconds(duration: Duration) -> int:
    """Round up: a client that waits this long has waited long enough."""
    seconds = duration.seconds + (duration.nanos > 0)
    return max(0, seconds)


def retry_after(duration: Duration) -> str:
    """Word a wait as Retry-After; at least one second."""
    return str(max(1, whole_seconds(duration)))


def request_headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """Decode an ASGI scope's headers; names are lower-case, a repeated header's values are joined as lists are."""
    raw: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    return headers
