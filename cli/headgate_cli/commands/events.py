"""`headgate events`: watches events as they become durable."""

import json
from typing import Annotated

import orjson
import typer
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_gateway.app_api.delivery import SEARCH_EVENTS, TAIL_EVENTS

from headgate_cli.api.admin_socket import AsJson, admin_channel, fail
from headgate_cli.api.http_api import HttpApi
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.commands.project import own_project
from headgate_cli.output import say

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
    refused: Annotated[
        bool, typer.Option("--refused", help="Refused requests too, with their reason; not for the operator.")
    ] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show events as they become durable, one line of JSON each, until interrupted."""
    way = reach(data_dir)
    try:
        if isinstance(way, SocketApi):
            _tail_as_operator(way, project or [], last, follow)
        else:
            _tail(way, project or [], last, follow, refused)
    except KeyboardInterrupt:
        # The way to end it.
        return


@events_app.command()
def search(
    text: Annotated[str, typer.Argument(help="An event's id, a receipt, or the id of a user, visitor or session.")],
    project: Annotated[str | None, typer.Option(help="Its project, by slug or id. Default: your only one.")] = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Find events among the latest 10,000 of a project, and where each is at every sink."""
    way = reach(data_dir)
    if isinstance(way, SocketApi) and project is None:
        fail("name a --project", 2)
    named = project if isinstance(way, SocketApi) else own_project(way, project)
    found = way.call(SEARCH_EVENTS, {"project": named or ""}, {"text": text})
    for one in [found] if as_json else found["events"]:
        say(orjson.dumps(one).decode())


def _tail_as_operator(way: SocketApi, projects: list[str], last: int, follow: bool) -> None:
    # Loaded here, as every other command does without the SDK.
    from headgate_sinks.formats.event_json import event_line

    request = admin.TailEventsRequest(projects=projects, last=last, no_follow=not follow)
    with admin_channel(way.data_dir) as channel:
        for answer in AdminServiceStub(channel).TailEvents(request):
            say(event_line(answer.event).decode())


def _tail(way: HttpApi, projects: list[str], last: int, follow: bool, refused: bool) -> None:
    if len(projects) > 1:
        fail("name one --project: only the operator watches several at once", 2)
    project = own_project(way, projects[0] if projects else None)
    query = {"last": last, "follow": "true" if follow else "false"}
    if refused:
        query["refused"] = "true"
    for event in way.stream(TAIL_EVENTS, {"project": project}, query):
        say(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
