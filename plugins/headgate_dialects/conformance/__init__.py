"""The tests that every dialect passes: inherit from `DialectConformance` in a test class of your own."""

from headgate_dialects.conformance.dialect_conformance import DialectConformance
from headgate_dialects.conformance.sample import conformance_of

__all__ = ["DialectConformance", "conformance_of"]
