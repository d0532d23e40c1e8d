"""What commands show to people at a terminal, and to programs."""

import sys

import pytest
from headgate_cli.output import show_table

ROWS = [
    {"name": "[red]shop[/red]", "used": 12, "limit": None, "scopes": []},
    {"name": "blog", "used": 3, "limit": 5, "scopes": ["a", "b"]},
]


def test_plain_columns_where_no_person_looks(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(ROWS, ("name", "used", "limit", "scopes"), "nothing")
    assert capsys.readouterr().out.splitlines() == [
        "name             used  limit  scopes",
        "[red]shop[/red]    12  -      -",
        "blog                3  5      a b",
    ]
    show_table([], ("name",), "nothing")
    assert capsys.readouterr().out == "nothing\n"


def test_a_table_at_a_terminal_shows_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_table(ROWS, ("name", "used"), "nothing")
    shown = capsys.readouterr().out
    assert "[red]shop[/red]" in shown
    assert "\u2500" in shown
