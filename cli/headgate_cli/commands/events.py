"""`headgate events`: watches events as they become durable."""

import json
from typing import Annotated

import typer
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_gateway.app_api.delivery import TAIL_EVENTS

from headgate_cli.api.admin_socket import AsJson, admin_channel, fail
from headgate_cli.api.http_api import HttpApi
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.commands.project import own_project

events_app = typer.Typer(help="Watch events as they arrive.", no_args_is_help=True)


@events_app.callback()
def events() -> None:
    """Events."""


@events_app.command()
def tail(
    project: Annotated[
        list[str] | None,
        typer.Option(
            help="A project to watch, by slug or id; the operator may repeat it. Default: all, or your only one."
        ),
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="Show this many of each project's latest events first.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Keep waiting for events until interrupted.")
    ] = True,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show events as they become durable, one line of JSON each, until interrupted."""
    way = reach(data_dir)
    try:
        if isinstance(way, SocketApi):
            _tail_as_operator(way, project or [], last, follow)
        else:
            _tail(way, project or [], last, follow)
    except KeyboardInterrupt:
        # The way to end it.
        return


def _tail_as_operator(way: SocketApi, projects: list[str], last: int, follow: bool) -> None:
    # Loaded here, as every other command does without the SDK.
    from headgate_sinks.formats.event_json import event_line

    request = admin.TailEventsRequest(projects=projects, last=last, no_follow=not follow)
    with admin_channel(way.data_dir) as channel:
        for answer in AdminServiceStub(channel).TailEvents(request):
            typer.echo(event_line(answer.event))


def _tail(way: HttpApi, projects: list[str], last: int, follow: bool) -> None:
    if len(projects) > 1:
        fail("name one --project: only the operator watches several at once", 2)
    project = own_project(way, projects[0] if projects else None)
    query = {"last": last, "follow": "true" if follow else "false"}
    for event in way.stream(TAIL_EVENTS, {"project": project}, query):
        typer.echo(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
