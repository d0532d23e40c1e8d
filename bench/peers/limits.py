"""The limits of the peers, kept in Redis: requests a minute and events a month, for each key."""

import os
import time
from pathlib import Path

SOCKET = os.environ["BENCH_REDIS"]
PROJECT = "project"
RATE, WINDOW_SECONDS = 100_000_000, 60
MONTHLY = 100_000_000_000
ADMIT = Path(__file__).with_name("admit.lua").read_text()


def names() -> tuple[str, str, str]:
    """The keys of the rate's window, the month's count and the stream."""
    now = time.time()
    month = time.strftime("%Y%m", time.gmtime(now))
    return f"rate:{PROJECT}:{int(now // WINDOW_SECONDS)}", f"month:{PROJECT}:{month}", f"events:{PROJECT}"


def headers(rate_used: int, month_used: int) -> dict[str, str]:
    """What the answer says of the limits."""
    reset = WINDOW_SECONDS - int(time.time()) % WINDOW_SECONDS
    return {
        "RateLimit": f'"default";r={RATE - rate_used};t={reset}',
        "RateLimit-Policy": f'"default";q={RATE};w={WINDOW_SECONDS}',
        "X-Quota-Remaining": str(MONTHLY - month_used),
    }
