"""The cases that every sink passes, or says why its target cannot show one."""

from headgate_sinks.conformance.conduct_cases import ConductCases
from headgate_sinks.conformance.outcome_cases import OutcomeCases
from headgate_sinks.conformance.repeat_cases import RepeatCases


class SinkConformance(OutcomeCases, RepeatCases, ConductCases):
    """Inherit as `class TestMine(SinkConformance)`, and fill in `sink`, `target` and `config`."""
