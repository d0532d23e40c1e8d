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

pytest.register_assert_rewrite(
    *(
        f"headgate_sinks.conformance.{module}"
        for module in ("conduct_cases", "outcome_cases", "repeat_cases", "workbench")
    )
)

from headgate_sinks.conformance.conduct_cases import ConductCases  # noqa: E402
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
from headgate_sinks.conformance.outcome_cases import OutcomeCases  # noqa: E402
from headgate_sinks.conformance.repeat_cases import RepeatCases  # noqa: E402
from headgate_sinks.conformance.target import Target  # noqa: E402


class SinkConformance(OutcomeCases, RepeatCases, ConductCases):
    """Inherit as `class TestMine(SinkConformance)`, and fill in `sink`, `target` and `config`."""


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
