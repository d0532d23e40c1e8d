"""`headgate store`: the process, and what an operator has the store forget."""

import json
from typing import Annotated

import typer
from headgate.v1 import store_service_pb2 as wire
from headgate.v1.store_service_pb2_grpc import StoreServiceStub

from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel

# Deleting rewrites what the store holds.
DELETION_SECONDS = 630.0
KEPT_ELSEWHERE = (
    "The log keeps what it has for replay up to `log.keep` (24 h by default), and other sinks what they were sent: "
    "delete there too, and run no replay into the store before the log has aged out."
)

Project = Annotated[str, typer.Option("--project", help="The project, by slug or id.")]

store_app = typer.Typer(help="Run a store alone, or have the store of a running Headgate forget.")


@store_app.command("delete-user")
def delete_user(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose events: their user id or distinct id.")],
    project: Project,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Delete a person's events from the store, and say what that was."""
    with admin_channel(data_dir) as channel:
        answer: wire.DeleteUserResponse = StoreServiceStub(channel).DeleteUser(
            wire.DeleteUserRequest(project=project, user=user), timeout=DELETION_SECONDS
        )
    report: dict[str, int | str] = {"deleted": answer.deleted, "remaining": answer.remaining}
    if answer.deleted:
        report |= {
            "firstReceiveTime": answer.first_receive_time.ToJsonString(),
            "lastReceiveTime": answer.last_receive_time.ToJsonString(),
        }
    if as_json:
        typer.echo(json.dumps(report))
        return
    typer.echo(f"deleted {answer.deleted} events")
    if answer.remaining:
        typer.echo(f"{answer.remaining} came in meanwhile: run it again")
    typer.echo(KEPT_ELSEWHERE)


@store_app.command()
def keep(
    days: Annotated[int, typer.Argument(metavar="DAYS", help="Days from when an event was received; 0: for good.")],
    project: Project,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Set how long the store keeps a project's events."""
    request = wire.SetRetentionRequest(project=project)
    request.keep.seconds = days * 86_400
    with admin_channel(data_dir) as channel:
        StoreServiceStub(channel).SetRetention(request, timeout=30.0)
    typer.echo(f"{project}: " + (f"events are kept for {days} days" if days else "events are kept for good"))
