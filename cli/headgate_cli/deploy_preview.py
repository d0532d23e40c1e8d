"""What `headgate deploy --dry-run --last N` shows."""

from collections.abc import Mapping
from typing import Any

import typer

from headgate_cli.show import show_table

OUTCOME_COLUMNS = ("event", "before", "after", "events")
PATH_COLUMNS = ("path", "events")
SINK_COLUMNS = ("sink", "before", "after", "gained", "lost")


def show_preview(preview: Mapping[str, Any], asked: int) -> None:
    """Shows what would differ over stored events, and of how many that is true."""
    events = preview["events"]
    if not events:
        typer.echo("No events are stored to judge.")
        return
    typer.echo(f"Over the latest {events} events, since {preview['from']}:")
    if not preview["complete"]:
        typer.echo(f"  ({asked} were asked for; these are as many as there was time for)")
    _section("events treated otherwise", preview["outcomes"], OUTCOME_COLUMNS)
    _section("places stored otherwise", preview["paths"], PATH_COLUMNS)
    _section("sinks of the project's own", preview["sinks"], SINK_COLUMNS)
    typer.echo("Stored events are past the policies of their time: what those dropped or refused is not among them.")


def _section(title: str, rows: Any, columns: tuple[str, ...]) -> None:
    typer.echo(f"\n{title}:")
    show_table(rows, columns, "  none")
