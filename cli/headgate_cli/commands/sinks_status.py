"""`headgate sinks status`, `pause`, `resume` and `test`: how the sinks of a running Headgate fare."""

import json
from typing import Annotated, Any

import typer
from headgate.v1 import delivery_service_pb2 as wire
from headgate.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from headgate_gateway.app_api.delivery import LIST_SINKS, PAUSE_SINK, RESUME_SINK, TEST_SINK, sink_json

from headgate_cli.api.admin_socket import CALL_SECONDS, AsJson, admin_channel, fail
from headgate_cli.api.http_api import HttpApi
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.commands.project import own_project, own_projects
from headgate_cli.output import columns, say

SHOWN = ("name", "project", "state", "accepted", "delivered", "filtered", "dead", "pending", "difference", "lagSeconds")
# Each entry that waits is counted, which may take a while where a sink is far behind.
STATUS_SECONDS = 120.0

SinkName = Annotated[str, typer.Argument(metavar="NAME", help="The sink's name.")]


def status(
    project: Annotated[
        list[str] | None, typer.Option(help="A project to show, by slug or id; repeat for more. Default: all.")
    ] = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show each sink's state and counts: accepted = delivered + filtered + dead + pending."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        with admin_channel(way.data_dir) as channel:
            answer: wire.ListSinksResponse = DeliveryServiceStub(channel).ListSinks(
                wire.ListSinksRequest(projects=project or []), timeout=STATUS_SECONDS
            )
        rows = [sink_json(row) for row in answer.sinks]
    else:
        shown = project or own_projects(way)
        rows = [row for one in shown for row in way.call(LIST_SINKS, {"project": one})["sinks"]]
    say(json.dumps({"sinks": rows}) if as_json else "\n".join(status_lines(rows)))


Of = Annotated[str | None, typer.Option("--project", help="Its project, where you are not the operator.")]


def pause(sink: SinkName, project: Of = None, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Pause a sink within a second. Its events wait, also over restarts, until `resume`."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        with admin_channel(way.data_dir) as channel:
            DeliveryServiceStub(channel).PauseSink(wire.PauseSinkRequest(sink=sink), timeout=CALL_SECONDS)
    else:
        way.call(PAUSE_SINK, _place(way, project, sink))
    say(json.dumps({"sink": sink, "paused": True}) if as_json else f"{sink} is paused")


def resume(sink: SinkName, project: Of = None, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Resume a paused sink."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        with admin_channel(way.data_dir) as channel:
            DeliveryServiceStub(channel).ResumeSink(wire.ResumeSinkRequest(sink=sink), timeout=CALL_SECONDS)
    else:
        way.call(RESUME_SINK, _place(way, project, sink))
    say(json.dumps({"sink": sink, "paused": False}) if as_json else f"{sink} resumed")


def try_sink(sink: SinkName, project: Of = None, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Send one test event, named headgate_test, through a sink. It is not counted."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        with admin_channel(way.data_dir) as channel:
            done: wire.TestSinkResponse = DeliveryServiceStub(channel).TestSink(
                wire.TestSinkRequest(sink=sink), timeout=CALL_SECONDS
            )
        answer = {"eventId": done.event_id, "delivered": done.delivered, "message": done.message}
    else:
        answer = way.call(TEST_SINK, _place(way, project, sink))
    if as_json:
        say(json.dumps({"sink": sink, **answer}))
        if not answer["delivered"]:
            raise typer.Exit(1)
    elif answer["delivered"]:
        say(f"{sink} wrote the event {answer['eventId']}")
    else:
        fail(f"{sink} did not write the event: {answer['message']}")


def _place(way: HttpApi, project: str | None, sink: str) -> dict[str, str]:
    """A project's own sink is shown as PROJECT/NAME, and called NAME within its project."""
    slug, slash, name = sink.partition("/")
    return {"project": own_project(way, project or (slug if slash else None)), "sink": name if slash else sink}


def status_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as a person reads them, and below what is wrong."""
    if not rows:
        return ["no sinks are configured"]
    lines = columns(SHOWN, rows)
    troubled = {row["name"]: row for row in rows if row["state"] in ("retrying", "paused", "broken")}
    lines += [f"{name} is {row['state']}: {row['lastError']}" for name, row in troubled.items() if row["lastError"]]
    if any(row["difference"] for row in rows):
        lines.append("the books do not balance: see docs/guide/operating.md")
    return lines
