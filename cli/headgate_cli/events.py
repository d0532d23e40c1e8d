"""`headgate events`: watches events as they become durable."""

from typing import Annotated

import typer
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub

from headgate_cli.admin_socket import DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel

events_app = typer.Typer(help="Events.", no_args_is_help=True)


@events_app.callback()
def events() -> None:
    """Events."""


@events_app.command()
def tail(
    project: Annotated[
        list[str] | None, typer.Option(help="A project to watch, by slug or id; repeat for more. Default: all.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="So many of each project's latest events first.")] = 0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show events as they become durable, one line of JSON each, until interrupted."""
    # Loaded here, as every other command does without the SDK.
    from headgate_sinks.event_json import event_line

    request = admin.TailEventsRequest(projects=project or [], last=last)
    with admin_channel(data_dir) as channel:
        try:
            for answer in AdminServiceStub(channel).TailEvents(request):
                typer.echo(event_line(answer.event))
        except KeyboardInterrupt:
            # The way to end it.
            return
