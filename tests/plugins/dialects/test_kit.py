"""The conformance kit itself: the package that `headgate dialects new` writes passes, and bad dialects do not."""

import subprocess
import sys
from pathlib import Path

import pytest
from headgate_cli.commands.dialects import package

DIALECT = "src/headgate_dialect_acme_two/dialect.py"
MISSING = '            raise Unparsable(Rejection.CREDENTIAL_MISSING, credential="")'
ROWS = "standard_rows(_words)"


def run_kit(folder: Path, old: str = "", new: str = "") -> subprocess.CompletedProcess[str]:
    texts = package("acme-two")
    assert old in texts[DIALECT]
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text.replace(old, new) if path == DIALECT and old else text)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_new_package_passes(tmp_path):
    done = run_kit(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "caught"),
    [
        ('    event.event_id = text_id(value.get("id"), "id")\n', "", "test_an_event_is_read"),
        ("    name_person(event)\n", "", "test_an_event_is_read"),
        (MISSING, '            key = "?"', "no_key"),
        ("read(inbound.body, credential=key)", '__import__("json").loads(inbound.body)', "no_json"),
        (ROWS, "standard_rows(_words, {Rejection.INVALID: 500})", "each_rejection"),
        (ROWS, "standard_rows(_words, {outcome_pb2.CAUSE_UNAVAILABLE: 400})", "retried_where_that_helps"),
        ("parse_batch(values,", "parse_batch([value for value in values if type(value) is dict],", "in_the_books"),
        ("if not isinstance(values, list) or not values", "if values is None", "any_bytes"),
        ('"responses": responses', '"responses": {"200": _OK}', "each_cause"),
    ],
)
def test_a_bad_dialect_is_caught(tmp_path, old, new, caught):
    done = run_kit(tmp_path, old, new)
    assert done.returncode == 1, done.stdout
    assert any(caught in line for line in done.stdout.splitlines() if line.startswith("FAILED")), done.stdout
