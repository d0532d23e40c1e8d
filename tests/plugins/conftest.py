"""What the tests of several sinks share."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[2] / "docs/guide/sinks"


@pytest.fixture
def documented() -> Callable[[str], dict[str, Any]]:
    """The `[sinks.config]` of the example on a sink's page."""

    def read(use: str) -> dict[str, Any]:
        page = (PAGES / f"{use}.md").read_text(encoding="utf-8")
        (sink,) = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])["sinks"]
        assert sink["use"] == use
        config: dict[str, Any] = sink["config"]
        return config

    return read
