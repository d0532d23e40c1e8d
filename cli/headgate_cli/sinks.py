"""`headgate sinks`: the sinks that there are, and the ones that are configured."""

import typer

from headgate_cli.sinks_new import new

sinks_app = typer.Typer(help="Sinks.", no_args_is_help=True)
sinks_app.command()(new)


@sinks_app.callback()
def sinks() -> None:
    """Sinks."""
