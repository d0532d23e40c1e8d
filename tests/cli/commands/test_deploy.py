from pathlib import Path

import pytest
from headgate_cli.main import app
from typer.testing import CliRunner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.json").write_text('{"required": ["hunter2"]}')
    config = tmp_path / "config"
    (config / "schemas").mkdir(parents=True)
    (config / "schemas" / "a.json").write_text('{"required": ["amount"]}')
    (config / "link.json").symlink_to(tmp_path / "outside.json")
    return config


def compile_with(folder: Path, schema: str):
    (folder / "headgate.yaml").write_text(f"default: {{schema: {schema!r}}}")
    return CliRunner().invoke(app, ["deploy", "--compile", "--file", str(folder / "headgate.yaml")])


def test_a_schema_is_read_below_the_folder_of_the_config(folder: Path):
    for name in ("schemas/a.json", "./schemas/../schemas/a.json", str(folder / "schemas" / "a.json")):
        done = compile_with(folder, name)
        assert (done.exit_code, "amount" in done.stdout) == (0, True)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "link.json", "schemas/../../outside.json", ".."])
def test_a_schema_elsewhere_is_refused(folder: Path, name: str):
    done = compile_with(folder, name)
    assert done.exit_code == 1
    assert "it is not below the folder of headgate.yaml" in done.stderr
    assert "hunter2" not in done.output
