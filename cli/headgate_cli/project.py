"""`headgate project`: makes projects."""

import json
import re
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_service.key_kind import KINDS_BY_WIRE

from headgate_cli.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel, fail

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
        name=name,
        slug=slug,
        monthly_limit=monthly_limit,
        rate_limit=parse_rate_limit(rate_limit) if rate_limit else None,
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


@project_app.command()
def plan(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project, by slug or id.")],
    monthly_limit: Annotated[
        str, typer.Option(metavar="N|none", help="Events it may store a UTC calendar month. Default: as it is.")
    ] = "",
    rate_limit: Annotated[
        str,
        typer.Option(metavar="N/60s|default", help="Requests a key may send in so many seconds."),
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Change what a project may send: in force everywhere within 5 seconds. For the operator."""
    if not monthly_limit and not rate_limit:
        fail("give --monthly-limit, --rate-limit or both", 2)
    request = admin.SetPlanRequest(project=project)
    if monthly_limit == "none":
        request.no_monthly_limit = True
    elif monthly_limit:
        request.monthly_limit = parse_monthly_limit(monthly_limit)
    if rate_limit == "default":
        request.default_rate_limit = True
    elif rate_limit:
        request.rate_limit.CopyFrom(parse_rate_limit(rate_limit))
    with admin_channel(data_dir) as channel:
        answer: admin.SetPlanResponse = AdminServiceStub(channel).SetPlan(request, timeout=CALL_SECONDS)
    shown = plan_json(answer.project)
    if as_json:
        typer.echo(json.dumps({"project": shown}))
        return
    typer.echo(
        f"Project {shown['slug']}: {shown['monthlyLimit'] or 'no limit of'} events a month, "
        f"{shown['rateLimit'] or 'the default rate limit'}"
    )


def plan_json(project: admin.Project) -> dict[str, Any]:
    """A project's plan."""
    rate = project.rate_limit
    return {
        "id": project.id,
        "slug": project.slug,
        "monthlyLimit": project.monthly_limit if project.HasField("monthly_limit") else None,
        "rateLimit": f"{rate.requests}/{rate.window.seconds}s" if project.HasField("rate_limit") else None,
    }


def parse_monthly_limit(text: str) -> int:
    """`5000` as a number of events. Anything else is a fault of usage."""
    if re.fullmatch(r"[1-9][0-9]{0,15}", text) is None:
        raise typer.BadParameter(f"{text!r} is neither a number of events nor `none`", param_hint="--monthly-limit")
    return int(text)


def parse_rate_limit(text: str) -> admin.RateLimit:
    """`1000/60s` as a rate limit. Anything else is a fault of usage."""
    match = re.fullmatch(r"([0-9]{1,15})/([0-9]{1,9})s", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not so many requests in so many seconds, such as 1000/60s", param_hint="--rate-limit"
        )
    return admin.RateLimit(requests=int(match[1]), window=Duration(seconds=int(match[2])))
