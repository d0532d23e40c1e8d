"""`headgate project`: makes projects."""

import json
import re
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_service.key_kind import KINDS_BY_WIRE

from headgate_cli.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel

project_app = typer.Typer(help="Projects.", no_args_is_help=True)


@project_app.callback()
def project() -> None:
    """Projects."""


@project_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name, for people.")],
    slug: Annotated[str, typer.Option(help="Its name in addresses: a-z, 0-9, hyphens. Default: from the name.")] = "",
    monthly_limit: Annotated[
        int | None, typer.Option(min=1, help="Events it may store a UTC calendar month. Default: no limit.")
    ] = None,
    rate_limit: Annotated[
        str, typer.Option(metavar="N/60s", help="Requests a key may send in so many seconds. Default: the operator's.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a project and its first keys, which are shown this once."""
    request = admin.CreateProjectRequest(
        name=name, slug=slug, monthly_limit=monthly_limit, rate_limit=parse_rate_limit(rate_limit)
    )
    with admin_channel(data_dir) as channel:
        answer: admin.CreateProjectResponse = AdminServiceStub(channel).CreateProject(request, timeout=CALL_SECONDS)
    keys = {KINDS_BY_WIRE[key.kind]: key.key for key in answer.keys}
    if as_json:
        typer.echo(json.dumps({"project": {"id": answer.project.id, "slug": answer.project.slug}, "keys": keys}))
        return
    typer.echo(f"Project {answer.project.slug} ({answer.project.id}). Its keys, shown this once:")
    for kind, key in keys.items():
        typer.echo(f"  {kind:<8}{key}")


def parse_rate_limit(text: str) -> admin.RateLimit | None:
    """`1000/60s` as a rate limit; None for an empty text. Anything else is a fault of usage."""
    if not text:
        return None
    match = re.fullmatch(r"([0-9]{1,15})/([0-9]{1,9})s", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not so many requests in so many seconds, such as 1000/60s", param_hint="--rate-limit"
        )
    return admin.RateLimit(requests=int(match[1]), window=Duration(seconds=int(match[2])))
