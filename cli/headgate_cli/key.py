"""`headgate key`: makes keys and ends them."""

import json
from typing import Annotated

import typer
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_service.key_kind import KINDS_BY_WIRE, WIRE_KINDS, KeyKind

from headgate_cli.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel

key_app = typer.Typer(help="Keys.", no_args_is_help=True)


@key_app.command()
def create(
    project: Annotated[str, typer.Option(help="The project it belongs to, by slug or id.")],
    kind: Annotated[KeyKind, typer.Option(help="What it opens.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What an organisation key may do; repeat for more. Default: events:write."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a key, which is shown this once."""
    request = admin.CreateKeyRequest(project=project, kind=WIRE_KINDS[kind], scopes=scope or [])
    with admin_channel(data_dir) as channel:
        answer: admin.CreateKeyResponse = AdminServiceStub(channel).CreateKey(request, timeout=CALL_SECONDS)
    if as_json:
        typer.echo(json.dumps({"key": answer.key.key, "id": answer.key.id}))
        return
    scopes = f", scopes {' '.join(answer.key.scopes)}" if answer.key.scopes else ""
    typer.echo(f"Key {answer.key.id} ({KINDS_BY_WIRE[answer.key.kind]}{scopes}), shown this once:")
    typer.echo(f"  {answer.key.key}")


@key_app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id: key_...")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """End a key: within 5 seconds it opens nothing."""
    with admin_channel(data_dir) as channel:
        AdminServiceStub(channel).RevokeKey(admin.RevokeKeyRequest(id=key_id), timeout=CALL_SECONDS)
    typer.echo(json.dumps({"id": key_id, "revoked": True}) if as_json else f"Key {key_id} is revoked.")
