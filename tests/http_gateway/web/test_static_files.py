"""The files that pages load: what they weigh, where they are from, and that the wheel has them."""

import hashlib
import re
import tomllib
from pathlib import Path

from headgate_gateway.web import static_files, templates
from headgate_gateway.web.static_files import FOLDER, read_files

ROOT = Path(__file__).parents[3]
BUDGET_BYTES = 150 * 1024


def test_script_and_style_weigh_at_most_150_kb_packed():
    assert sum(len(file.packed) for file in read_files().values()) <= BUDGET_BYTES


def test_every_vendored_file_is_the_one_that_its_list_names():
    listed = dict(
        re.findall(r"\| `([\w.]+)` .*\| `([0-9a-f]{64})` \|", (FOLDER / "vendor" / "VENDORED.md").read_text())
    )
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor").iterdir()
        if path.suffix in (".js", ".css")
    }
    assert found == listed


def test_the_files_lie_in_a_package_of_the_wheel():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = Path(static_files.__file__).parents[1]
    assert package.name in [Path(one).name for one in packages["packages"]]
    assert FOLDER.is_relative_to(package)
    assert templates.FOLDER.is_relative_to(package)


def test_no_template_has_script_or_style_of_its_own():
    for path in templates.FOLDER.glob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|\|\s*safe", text), path.name


def test_every_template_compiles():
    made = templates.Templates(read_files())
    for path in templates.FOLDER.glob("*.html"):
        made.compile(path.name)
