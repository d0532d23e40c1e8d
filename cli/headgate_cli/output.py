"""What commands show: JSON where it is asked for, tables with lines on a terminal, plain columns elsewhere.

Nothing else of the command line prints, so that no text from outside reaches a terminal as a command to it.
"""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import typer

# Control and format characters, lone surrogates, and separators of lines and paragraphs.
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def harmless(text: str) -> str:
    """The text with what a terminal would obey, or show in another order, written as `\\u001b`; line feeds stay.

    It is such an escape that JSON knows, so that JSON stays the same value.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_plain(character) else _escaped(character) for character in text)


def say(text: str, *, err: bool = False) -> None:
    """A line, or several, of text."""
    typer.echo(harmless(text), err=err)


def one_line(text: object) -> str:
    """The same of what belongs on one line."""
    return harmless(str(text)).replace("\n", "\\u000a")


def _is_plain(character: str) -> bool:
    # What joins emoji and letters stays.
    return character in "\n\u200c\u200d" or unicodedata.category(character) not in _OBEYED


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def columns(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of names and a line a row; numbers are at the right of their column."""
    table = [list(names), *([one_line(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = [all(isinstance(row[name], int | float) for row in rows) for name in names]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in table
    ]


def show_json(value: Any) -> None:
    """One line of JSON."""
    say(json.dumps(value, ensure_ascii=False))


def show_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], empty: str) -> None:
    """A row each; `empty` is said where there is none. What is None or an empty list is shown as a dash."""
    if not rows:
        say(empty)
        return
    plain = [{name: _cell(row[name]) for name in names} for row in rows]
    if not sys.stdout.isatty():
        say("\n".join(columns(names, plain)))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        number = all(isinstance(row[name], int | float) for row in plain)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in plain:
        # As it is: a name may hold what rich would take for markup.
        table.add_row(*(Text(one_line(row[name])) for name in names))
    Console().print(table)


def _cell(value: Any) -> Any:
    if value is None or value == []:
        return "-"
    return " ".join(map(str, value)) if isinstance(value, list) else value
