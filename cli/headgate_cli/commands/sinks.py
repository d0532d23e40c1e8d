"""`headgate sinks`: the kinds of sinks that there are, and the sinks that are configured."""

import typer

from headgate_cli.commands.dead_letters import dead_letters_app
from headgate_cli.commands.replay import replay
from headgate_cli.commands.sinks_check import check, route
from headgate_cli.commands.sinks_kinds import list_kinds, new, schema
from headgate_cli.commands.sinks_status import pause, resume, status, try_sink

sinks_app = typer.Typer(help="Check, watch, pause and replay sinks.", no_args_is_help=True)
sinks_app.command("list")(list_kinds)
sinks_app.command()(schema)
sinks_app.command()(check)
sinks_app.command()(new)
sinks_app.command()(route)
sinks_app.command()(status)
sinks_app.command()(pause)
sinks_app.command()(resume)
sinks_app.command("test")(try_sink)
sinks_app.command()(replay)
sinks_app.add_typer(dead_letters_app, name="dead-letters")


@sinks_app.callback()
def sinks() -> None:
    """Sinks."""
