"""`headgate sinks dead-letters`: the events that a sink will not get, to look at, send again or delete."""

import json
from typing import Annotated, Any

import typer
from headgate.v1 import delivery_service_pb2 as wire
from headgate.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from headgate_gateway.app_api import delivery as api

from headgate_cli.api.admin_socket import CALL_SECONDS, AsJson, admin_channel, fail
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.commands.project import own_project
from headgate_cli.commands.sinks_status import SinkName
from headgate_cli.output import columns, say

# Of as many letters as there may be.
ALL_SECONDS = 120.0
SHOWN = ("id", "project", "deadAt", "attempts", "events", "code", "message")

dead_letters_app = typer.Typer(help="List, retry or delete events that a sink rejected.", no_args_is_help=True)

ProjectOption = Annotated[str | None, typer.Option("--project", help="Only of this project, by slug or id.")]
ReplayOption = Annotated[
    str | None, typer.Option("--replay", help="Only dead letters of this replay, by its id. For the operator.")
]
Letters = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters, with their --project. Default: all.")
]


@dead_letters_app.callback()
def dead_letters() -> None:
    """List, retry or delete events that a sink rejected."""


@dead_letters_app.command("list")
def list_letters(
    sink: SinkName,
    project: ProjectOption = None,
    replay: ReplayOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to show at most, oldest first.")] = 100,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """List a sink's dead letters."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        request = wire.ListDeadLettersRequest(sink=sink, project=project or "", limit=limit, replay=replay or "")
        with admin_channel(way.data_dir) as channel:
            answer: wire.ListDeadLettersResponse = DeliveryServiceStub(channel).ListDeadLetters(
                request, timeout=ALL_SECONDS
            )
        rows = [api.letter_json(letter) for letter in answer.dead_letters]
    else:
        _of_no_replay(replay)
        query = {"sink": sink, "limit": limit}
        rows = way.call(api.LIST_DEAD_LETTERS, {"project": own_project(way, project)}, query)["deadLetters"]
    if as_json:
        say(json.dumps({"deadLetters": rows}))
    else:
        say("\n".join(columns(SHOWN, rows)) if rows else f"{sink} has no dead letters")


@dead_letters_app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="A dead letter, as `list` shows it.")],
    project: Annotated[str, typer.Option("--project", help="Its project, by slug or id.")],
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter with its event."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        shown = _shown(way, letter_id, project)
    else:
        shown = way.call(api.GET_DEAD_LETTER, {"project": project, "letter": letter_id})["deadLetter"]
    say(json.dumps(shown) if as_json else json.dumps(shown, indent=2, ensure_ascii=False))


@dead_letters_app.command()
def retry(
    sink: SinkName,
    ids: Letters = None,
    project: ProjectOption = None,
    replay: ReplayOption = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Send the events of dead letters again, with the same event ids. Delivered ones leave the list."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        request = wire.RetryDeadLettersRequest(sink=sink, project=project or "", ids=ids or [], replay=replay or "")
        with admin_channel(way.data_dir) as channel:
            answer: wire.RetryDeadLettersResponse = DeliveryServiceStub(channel).RetryDeadLetters(
                request, timeout=ALL_SECONDS
            )
        done = {"queued": answer.queued, "skipped": answer.skipped}
    else:
        _of_no_replay(replay)
        body = {"sink": sink, "ids": ids or []}
        done = way.call(api.RETRY_DEAD_LETTERS, {"project": own_project(way, project)}, body=body)
    if as_json:
        say(json.dumps(done))
    else:
        say(f"{done['queued']} queued for retry, {done['skipped']} skipped (no event, or already gone)")


@dead_letters_app.command()
def purge(
    sink: SinkName,
    ids: Letters = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    project: ProjectOption = None,
    replay: ReplayOption = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters. Their events stay counted as dead."""
    if not ids and not everything:
        fail("name dead letters to delete, or give --all", 2)
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        request = wire.PurgeDeadLettersRequest(sink=sink, project=project or "", ids=ids or [], replay=replay or "")
        with admin_channel(way.data_dir) as channel:
            answer: wire.PurgeDeadLettersResponse = DeliveryServiceStub(channel).PurgeDeadLetters(
                request, timeout=ALL_SECONDS
            )
        done = {"purged": answer.purged, "skipped": answer.skipped}
    else:
        _of_no_replay(replay)
        body = {"sink": sink, "ids": ids or []}
        done = way.call(api.PURGE_DEAD_LETTERS, {"project": own_project(way, project)}, body=body)
    if as_json:
        say(json.dumps(done))
    else:
        say(f"{done['purged']} deleted, {done['skipped']} skipped (queued for retry, or already gone)")


def _of_no_replay(replay: str | None) -> None:
    if replay is not None:
        fail("--replay: replays are the operator's: name the --data-dir of a Headgate on this machine", 2)


def _shown(way: SocketApi, letter_id: str, project: str) -> dict[str, Any]:
    # Loaded here, as every other command does without the SDK.
    from headgate_sinks.formats.event_json import event_json

    with admin_channel(way.data_dir) as channel:
        answer: wire.GetDeadLetterResponse = DeliveryServiceStub(channel).GetDeadLetter(
            wire.GetDeadLetterRequest(project=project, id=letter_id), timeout=CALL_SECONDS
        )
    letter = answer.dead_letter
    event = event_json(letter.event) if letter.HasField("event") else None
    return {**api.letter_json(letter), "event": event}
