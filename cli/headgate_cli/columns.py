"""Rows as columns of text."""

from collections.abc import Mapping, Sequence
from typing import Any


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
