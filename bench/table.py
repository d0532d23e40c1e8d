"""What is printed and written: medians by row, with what they come from."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate_cli.run.embedded_redis import dotted, find_server

from bench.row import Figures, Row

PACKAGES = ("headgate", "grpcio", "protobuf", "falcon", "uvicorn", "redis", "fastapi", "flask", "gunicorn", "pydantic")


@dataclass
class Results:
    """What each row gave in each round, and why rows are void."""

    rows: Sequence[Row]
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    void: dict[str, str] = field(default_factory=dict)

    def medians(self, row: Row) -> Figures:
        found = self.rounds.get(row.id, [])
        columns = dict.fromkeys(column for figures in found for column in figures)
        return {column: statistics.median(one[column] for one in found if column in one) for column in columns}

    def markdown(self) -> str:
        """A table per group, each with the columns that its rows have."""
        groups = dict.fromkeys(row.group for row in self.rows)
        return "\n\n".join(self._group(group, [row for row in self.rows if row.group == group]) for group in groups)

    def _group(self, group: str, rows: Sequence[Row]) -> str:
        medians = {row.id: self.medians(row) for row in rows}
        columns = list(dict.fromkeys(column for figures in medians.values() for column in figures))
        lines = [f"| {group} | {' | '.join([*columns, 'rounds'])} |", "|---" * (len(columns) + 2) + "|"]
        for row in rows:
            if row.id in self.void:
                lines.append(f"| {row.title} (`{row.name}`) | VOID: {_cell(self.void[row.id])} |")
                continue
            cells = [_number(medians[row.id].get(column)) for column in columns]
            rounds = len(self.rounds.get(row.id, []))
            lines.append(f"| {row.title} (`{row.name}`) | {' | '.join([*cells, str(rounds)])} |")
        return "\n".join(lines)

    def as_json(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "machine": dict(machine),
            "rows": [
                {
                    "row": row.id,
                    "title": row.title,
                    "void": self.void.get(row.id),
                    "medians": dict(self.medians(row)),
                    "rounds": [dict(figures) for figures in self.rounds.get(row.id, [])],
                }
                for row in self.rows
            ],
        }


def machine() -> dict[str, Any]:
    """What the figures were taken on and with."""
    return {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load average before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "redis server": dotted(find_server().version),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def _cell(text: str) -> str:
    """One line that ends no cell."""
    return " ".join(text.split()).replace("|", "/")[-300:]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"
