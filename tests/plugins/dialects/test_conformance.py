"""Every built-in dialect that has a sample among its fixtures passes the conformance kit."""

from pathlib import Path

from headgate_dialects.conformance import conformance_of
from headgate_dialects.host import built_in

FIXTURES = Path(__file__).parent / "fixtures"
SAMPLED = [dialect for dialect in built_in() if (FIXTURES / dialect.api.name / "sample.json").exists()]

for dialect in SAMPLED:
    name = f"Test{dialect.api.title.replace(' ', '')}"
    globals()[name] = type(name, (conformance_of(dialect, FIXTURES / dialect.api.name),), {})
