"""docs/reference/settings.md: what it prints can be pasted."""

import re
import tomllib
from pathlib import Path

import pytest
from headgate_cli.settings.section import section_of
from headgate_cli.settings.settings import Settings

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "settings.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| .*? \| `([^`]+)` \|", re.MULTILINE)


def printed_defaults() -> list[tuple[str, str, str]]:
    tables = re.split(r"^## `\[+([a-z.]+)\]+`$", PAGE, flags=re.MULTILINE)[1:]
    return [(table, *row) for table, text in zip(tables[::2], tables[1::2], strict=True) for row in ROW.findall(text)]


@pytest.mark.parametrize(("table", "setting", "default"), printed_defaults())
def test_a_printed_default_is_what_the_parser_makes_of_it(table: str, setting: str, default: str) -> None:
    model = Settings
    for part in table.split("."):
        model = section_of(model.model_fields[part].annotation)  # type: ignore[assignment]
    required = {"name": "a", "issuer": "i", "audience": "a", "algorithm": "HS256", "secret": "s" * 32}
    given = {name: value for name, value in required.items() if name in model.model_fields}
    read = model.model_validate(given | tomllib.loads(f"{setting} = {default}"))
    assert getattr(read, setting) == model.model_fields[setting].default


def test_the_page_prints_defaults() -> None:
    assert len(printed_defaults()) > 25
