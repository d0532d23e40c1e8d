"""What commands show to people at a terminal, and to programs."""

import json
import re
import sys
from pathlib import Path

import headgate_cli
import pytest
from headgate_cli.output import say, show_json, show_table

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


HOSTILE = "\x1b]0;title\x07\x9b2J\r\x08\u202etxt\u2066\u2028\x7f\ud800"


def test_what_a_terminal_would_obey_is_escaped(capsys):
    say(f"a {HOSTILE} b\nc")
    written = capsys.readouterr().out
    assert written == (r"a \u001b]0;title\u0007\u009b2J\u000d\u0008\u202etxt\u2066\u2028\u007f\ud800 b" + "\nc\n")


def test_json_stays_the_same_value(capsys):
    value = {"name": HOSTILE[:-1], "emoji": "\U0001f469\u200d\U0001f4bb", "tag": "\U000e0001", "text": "Grüße, 東京"}
    show_json(value)
    written = capsys.readouterr().out
    assert json.loads(written) == value
    assert written.strip().isprintable() or "\u200d" in written
    assert not {"\x1b", "\x9b", "\u202e", "\U000e0001"} & set(written)


def test_a_cell_of_a_table_is_one_line(capsys):
    show_table([{"name": "a\nroot  0\x1b[2J", "count": 1}], ("name", "count"), "nothing")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name" + " " * 21 + "count", r"a\u000aroot  0\u001b[2J      1"]


def test_nothing_else_of_the_command_line_prints():
    folder = Path(headgate_cli.__file__).parent
    printing = {
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        if re.search(r"typer\.echo|\bprint\(|sys\.std(out|err)\.write|Console\(|secho", file.read_text())
    }
    # What `up` prints is its own addresses.
    assert printing == {"output.py", "run/up.py"}
