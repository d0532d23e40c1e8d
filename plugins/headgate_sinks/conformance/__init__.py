"""The tests that every sink passes. Needs pytest, which Headgate itself does not.

class TestMine(SinkConformance):
    sink = MySink

    @contextlib.asynccontextmanager
    async def target(self, folder):
        yield MyTarget(...)

    def config(self, target):
        return {"url": target.url}
"""

import pytest

pytest.register_assert_rewrite("headgate_sinks.conformance.cases", "headgate_sinks.conformance.workbench")

from headgate_sinks.conformance.cases import SinkConformance  # noqa: E402
from headgate_sinks.conformance.fault import (  # noqa: E402
    AnswerLost,
    Fault,
    KeepsContent,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    TakesOnly,
    TakesSome,
    Unavailable,
)
from headgate_sinks.conformance.target import Target  # noqa: E402

__all__ = [
    "AnswerLost",
    "Fault",
    "KeepsContent",
    "NotAllowed",
    "Poison",
    "RateLimited",
    "Refuses",
    "Silent",
    "SinkConformance",
    "TakesOnly",
    "TakesSome",
    "Target",
    "Unavailable",
]
