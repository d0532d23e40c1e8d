"""`headgate store`: the process, whether its rows are all there, and what an operator has it forget."""

import json
from typing import Annotated, Any, Literal

import typer
from headgate.v1 import project_service_pb2 as project_wire
from headgate.v1 import store_service_pb2 as wire
from headgate.v1.project_service_pb2_grpc import ProjectServiceStub
from headgate.v1.store_service_pb2_grpc import StoreServiceStub

from headgate_cli.api.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel, fail
from headgate_cli.output import columns, say
from headgate_cli.run.data_dir import DataDir as Files

# Deleting rewrites what the store holds.
DELETION_SECONDS = 630.0
KEPT_ELSEWHERE = (
    "The log keeps what it has for replay up to `log.keep` (24 h by default), and other sinks what they were sent: "
    "delete there too, and run no replay into the store before the log has aged out."
)

Project = Annotated[str, typer.Option("--project", help="The project, by slug or id.")]

store_app = typer.Typer(help="Run a store alone; check the store of a running Headgate, or have it forget.")


@store_app.command("delete-user")
def delete_user(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user id or distinct id of the person.")],
    project: Project,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Delete a person's events from the store, and show how many."""
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
        say(json.dumps(report))
        return
    say(f"deleted {answer.deleted} events")
    if answer.remaining:
        say(f"{answer.remaining} events arrived meanwhile: run it again")
    say(KEPT_ELSEWHERE)


@store_app.command()
def keep(
    days: Annotated[int, typer.Argument(metavar="DAYS", help="Days after an event was received; 0: forever.")],
    project: Project,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Set how long the store keeps a project's events."""
    request = wire.SetRetentionRequest(project=project)
    request.keep.seconds = days * 86_400
    with admin_channel(data_dir) as channel:
        StoreServiceStub(channel).SetRetention(request, timeout=30.0)
    say(f"{project}: " + (f"events are kept for {days} days" if days else "events are kept forever"))


@store_app.command()
def credential(
    project: Annotated[
        str | None,
        typer.Option(help="Only rows of this project, by slug or id. Default: all rows, as the user `reader`."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Print a user and password that only read, for clients that reach the store over `store.address`."""
    from headgate_service.store.access import READER, reader_password

    if not (data_dir / "store.key").exists():
        fail("there is no store.key: set [store] address and start Headgate once")
    user = READER
    if project is not None:
        with admin_channel(data_dir) as channel:
            found: project_wire.GetProjectResponse = ProjectServiceStub(channel).GetProject(
                project_wire.GetProjectRequest(project=project), timeout=CALL_SECONDS
            )
        user = found.project.id
    shown = {"user": user, "password": reader_password(Files(data_dir.absolute()).store_key(), user)}
    say(json.dumps(shown) if as_json else "\n".join(f"{name}: {text}" for name, text in shown.items()))


@store_app.command()
def ddl(
    cluster: Annotated[str, typer.Option(metavar="NAME", help="The cluster, as its servers' configuration names it.")],
    replicas: Annotated[int, typer.Option(min=1, help="The replicas that an insert is on before it is answered.")] = 2,
    sharded: Annotated[
        bool,
        typer.Option("--sharded", help="Spread events over the cluster's shards. Headgate then deletes none."),
    ] = False,
) -> None:
    """Print the statements that make the store's tables on a cluster of ClickHouse servers."""
    from headgate_service.store.cluster_ddl import cluster_ddl

    say("\n\n".join(f"{statement};" for statement in cluster_ddl(cluster, replicas=replicas, sharded=sharded)))


CHECK_SECONDS = 600.0
CHECKED = ("project", "expected", "rows", "excused", "missing", "surplus")
DIFFERING = ("project", "from", "expected", "rows")


@store_app.command()
def check(
    project: Annotated[
        list[str] | None, typer.Option(help="A project to compare, by slug or id; repeat for more. Default: all.")
    ] = None,
    by: Annotated[Literal["hour", "day"], typer.Option(help="Show differences by hour, or by day in UTC.")] = "hour",
    accept: Annotated[
        bool, typer.Option("--accept", help="Give up what damaged parts held: nobody is told of them any more.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Compare the store's rows with what the ledger says was delivered to it.

    Exits with 1 where they differ, or where a part of the store is damaged.
    """
    with admin_channel(data_dir) as channel:
        answer: wire.CheckStoreResponse = StoreServiceStub(channel).CheckStore(
            wire.CheckStoreRequest(projects=project or [], accept=accept), timeout=CHECK_SECONDS
        )
    checks = [{name: getattr(one, name) for name in CHECKED} for one in answer.checks]
    differences = [row for one in answer.checks for row in _differences(one, by)]
    parts = [_part(one) for one in answer.damaged_parts]
    whole = not parts and not any(one["missing"] or one["surplus"] for one in checks)
    if as_json:
        shown = {"whole": whole, "projects": checks, "differences": differences, "damagedParts": parts}
        say(json.dumps(shown))
    else:
        lines = columns(CHECKED, checks) if checks else ["there are no projects"]
        lines += ["", *columns(DIFFERING, differences)] if differences else []
        lines += [_told(part) for part in parts]
        lines += [f"{answer.settled} damaged parts count as settled"] if accept else []
        say("\n".join([*lines, "the store holds what it should" if whole else "the store differs"]))
    if not whole:
        raise typer.Exit(1)


@store_app.command()
def status(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Show what the store holds, and whether parts of it are damaged."""
    with admin_channel(data_dir) as channel:
        answer: wire.GetStoreStatusResponse = StoreServiceStub(channel).GetStoreStatus(
            wire.GetStoreStatusRequest(), timeout=CALL_SECONDS
        )
    shown: dict[str, Any] = {
        "state": "damaged" if answer.damaged_parts else "ok",
        "rows": answer.rows,
        "bytes": answer.bytes,
        "firstReceiveTime": answer.first_receive_time.ToJsonString() if answer.rows else None,
        "lastReceiveTime": answer.last_receive_time.ToJsonString() if answer.rows else None,
        "damagedParts": [_part(one) for one in answer.damaged_parts],
        "replay": answer.replay or None,
        "missing": answer.missing,
    }
    if as_json:
        say(json.dumps(shown))
        return
    say(f"{shown['state']}: {answer.rows} events, {answer.bytes} bytes on disk")
    for part in shown["damagedParts"]:
        say(_told(part))
    if answer.replay:
        say(f"the replay {answer.replay} fills it again from the log: headgate sinks replay status")
    if answer.missing:
        say(f"{answer.missing} events are missing, and not in the log any more: headgate store check names them")


def _differences(check: wire.StoreCheck, by: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for hour in check.hours:
        begin = hour.begin_time.ToJsonString()
        begin = begin[:10] if by == "day" else begin
        row = rows.setdefault(begin, {"project": check.project, "from": begin, "expected": 0, "rows": 0})
        row["expected"] += hour.expected
        row["rows"] += hour.rows
    return list(rows.values())


def _part(part: wire.DamagedPart) -> dict[str, str]:
    return {"name": part.name, "reason": part.reason, "month": part.month}


def _told(part: dict[str, str]) -> str:
    return f"damaged: {part['name']} ({part['reason']}), events received in {part['month'][:4]}-{part['month'][4:]}"
