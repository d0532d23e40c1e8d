"""`headgate sinks new`: what it writes, and when it does not."""

import subprocess
import sys
import tomllib

import pytest
from headgate_cli.main import app
from typer.testing import CliRunner


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda name: CliRunner().invoke(app, ["sinks", "new", name])


@pytest.mark.parametrize("name", ["acme", "acme-crm-2"])
def test_the_packages_tests_pass_at_once_with_nothing_but_headgate_and_pytest(tmp_path, new, name):
    answer = new(name)
    assert answer.exit_code == 0, answer.output
    assert f'name = "{name}"' in answer.output
    project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())["project"]
    assert list(project["entry-points"]["headgate.sinks.v1"]) == [name]
    assert project["dependencies"] == ["headgate"]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:timeout", "-p", "no:cacheprovider"],
        cwd=tmp_path / name,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert tests.returncode == 0, tests.stdout
    assert " passed" in tests.stdout


def test_the_package_is_as_tidy_as_headgate_is(tmp_path, new):
    new("acme")
    for file in (tmp_path / "acme").rglob("*"):
        if file.is_file():
            text = file.read_text()
            assert "$" not in text
            assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", ["", "Acme", "9lives", "a_b", "a--b", "-a", "../up", "a" * 41, "jsonl", "webhook"])
def test_a_name_that_headgate_toml_cannot_use_is_refused(tmp_path, new, name):
    assert new(name).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path, new):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "mine.txt").write_text("mine")
    answer = new("acme")
    assert answer.exit_code == 1
    assert "./acme already exists" in answer.output
    assert [file.name for file in (tmp_path / "acme").iterdir()] == ["mine.txt"]
