"""What commands show: JSON where it is asked for, tables with lines on a terminal, plain columns elsewhere."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def columns(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of names and a line a row; numbers are at the right of their column."""
    table = [list(names), *([str(row[name]) for name in names] for row in rows)]
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
    typer.echo(json.dumps(value, ensure_ascii=False))


def show_table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], empty: str) -> None:
    """A row each; `empty` is said where there is none. What is None or an empty list is shown as a dash."""
    if not rows:
        typer.echo(empty)
        return
    plain = [{name: _cell(row[name]) for name in names} for row in rows]
    if not sys.stdout.isatty():
        typer.echo("\n".join(columns(names, plain)))
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
        table.add_row(*(Text(str(row[name])) for name in names))
    Console().print(table)


def _cell(value: Any) -> Any:
    if value is None or value == []:
        return "-"
    return " ".join(map(str, value)) if isinstance(value, list) else value
