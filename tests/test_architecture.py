"""docs/architecture.md names files that exist, and every folder of the packages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = (
    "service/headgate_service",
    "http_gateway/headgate_gateway",
    "plugins/headgate_dialects",
    "plugins/headgate_sinks",
    "cli/headgate_cli",
)
NAMED = set(re.findall(r"`((?:protos|service|http_gateway|plugins|cli)/[\w./]+)`", PAGE))


def test_every_path_that_the_page_names_exists() -> None:
    assert {path for path in NAMED if not (ROOT / path).exists()} == set()


def test_the_page_names_every_folder_of_the_packages() -> None:
    folders = {
        f"{package}/{folder.name}/"
        for package in PACKAGES
        for folder in (ROOT / package).iterdir()
        if folder.is_dir() and any(folder.glob("*.*")) and folder.name != "__pycache__"
    }
    assert folders - NAMED == set()
