"""`headgate project`: makes projects, shows and changes them, and ends them."""

import re
import sys
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from headgate.v1 import admin_service_pb2 as admin
from headgate.v1.admin_service_pb2_grpc import AdminServiceStub
from headgate_gateway.app_api import projects as api
from headgate_gateway.app_api.operation import KEY_KIND_NAMES
from headgate_gateway.app_api.projects import LIST_PROJECTS

from headgate_cli.api.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel, fail
from headgate_cli.api.http_api import HttpApi
from headgate_cli.api.reach import OperatorDir, SocketApi, reach
from headgate_cli.output import say, show_json, show_table


def own_projects(way: HttpApi) -> list[str]:
    """The slugs of a person's projects."""
    return [one["slug"] for one in way.call(LIST_PROJECTS)["projects"]]


def own_project(way: HttpApi, named: str | None) -> str:
    """The one that is named, else the only one there is; where there are others the command ends."""
    if named is not None:
        return named
    projects = own_projects(way)
    if len(projects) != 1:
        fail(f"name one --project of {', '.join(projects)}" if projects else "you have no projects", 2)
    return projects[0]


COLUMNS = ("slug", "name", "role", "monthlyLimit", "rateLimit", "timezone", "id")

project_app = typer.Typer(help="Create, list, change and delete projects.", no_args_is_help=True)

ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project, by slug or id.")]


@project_app.callback()
def project() -> None:
    """Projects."""


@project_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name, for people.")],
    slug: Annotated[
        str, typer.Option(help="Its name in URLs: a-z, 0-9, hyphens. Default: derived from the name.")
    ] = "",
    monthly_limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Monthly limit of stored events, by UTC calendar month. Default: none. For the operator."
        ),
    ] = None,
    rate_limit: Annotated[
        str,
        typer.Option(
            metavar="N/60s",
            help="Requests that a key may send in that time. Default: limits.rate. For the operator.",
        ),
    ] = "",
    organisation: Annotated[
        str, typer.Option(metavar="SLUG", help="The organisation it belongs to. Default: a new one. For the operator.")
    ] = "",
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a project and its first keys, and show them once."""
    way = reach(data_dir)
    if isinstance(way, SocketApi):
        made = _create_as_operator(way, name, slug, monthly_limit, rate_limit, organisation)
    elif monthly_limit is not None or rate_limit or organisation:
        fail("limits and organisations are the operator's: give --data-dir, or leave them out", 2)
    else:
        made = way.call(api.CREATE_PROJECT, body={"name": name} | ({"slug": slug} if slug else {}))
    shown, keys = made["project"], made["keys"]
    if as_json:
        show_json({"project": {"id": shown["id"], "slug": shown["slug"]}, "keys": keys})
        return
    say(f"Project {shown['slug']} ({shown['id']}). Its keys, shown this once:")
    for kind, key in keys.items():
        say(f"  {kind:<8}{key}")


@project_app.command("list")
def list_projects(data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """List your projects; for the operator, all projects."""
    found = reach(data_dir).call(api.LIST_PROJECTS)
    if as_json:
        show_json(found)
    else:
        show_table(found["projects"], COLUMNS, "no projects: make one with `headgate project create NAME`")


@project_app.command()
def show(project: ProjectName, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Show a project."""
    found = reach(data_dir).call(api.GET_PROJECT, {"project": project})
    if as_json:
        show_json(found)
    else:
        for name, value in found["project"].items():
            say(f"{name:<13}{'-' if value is None else value}")


@project_app.command()
def update(
    project: ProjectName,
    name: Annotated[str | None, typer.Option(help="Its new name, for people.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The time zone of its days, for example Europe/Berlin.")
    ] = None,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Change a project's name or time zone."""
    body = {field: value for field, value in (("name", name), ("timezone", timezone)) if value is not None}
    if not body:
        fail("give --name, --timezone or both", 2)
    changed = reach(data_dir).call(api.UPDATE_PROJECT, {"project": project}, body=body)
    if as_json:
        show_json(changed)
    else:
        shown = changed["project"]
        say(f"Project {shown['slug']}: {shown['name']}, days of {shown['timezone']}")


@project_app.command()
def delete(
    project: ProjectName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Delete a project: its keys end within 5 seconds. Accepted events are still delivered."""
    way = reach(data_dir)
    if not yes:
        if not sys.stdin.isatty():
            fail("give --yes: nobody is here to ask", 2)
        typer.confirm(f"Delete the project {project}? This cannot be undone.", abort=True)
    report = way.call(api.DELETE_PROJECT, {"project": project})
    if as_json:
        show_json(report)
        return
    removed, log = report["removed"], report["log"]
    say(
        f"Project {report['project']['slug']} is ended: {removed['keys']} keys, {removed['members']} members, "
        f"{removed['deploys']} deploys.\n"
        f"{log['events']} events ({log['bytes']} bytes) and {log['deadLetters']} dead letters leave Redis once its "
        "sinks have what is pending:"
    )
    show_table(report["sinks"], ("name", "pending"), "it has no sinks")
    if report["storedEventsDeleted"]:
        say("What the analytics store holds of it goes then, too.")


@project_app.command()
def plan(
    project: ProjectName,
    monthly_limit: Annotated[
        str,
        typer.Option(
            metavar="N|none", help="Monthly limit of stored events, by UTC calendar month. Default: unchanged."
        ),
    ] = "",
    rate_limit: Annotated[
        str, typer.Option(metavar="N/60s|default", help="Requests that a key may send in that time.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Change a project's limits: in force everywhere within 5 seconds. For the operator."""
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
    full = api.project_json(answer.project)
    shown = {name: full[name] for name in ("id", "slug", "monthlyLimit", "rateLimit")}
    if as_json:
        show_json({"project": shown})
        return
    say(
        f"Project {shown['slug']}: {shown['monthlyLimit'] or 'no limit of'} events a month, "
        f"{shown['rateLimit'] or 'the default rate limit'}"
    )


def _create_as_operator(
    way: SocketApi, name: str, slug: str, monthly_limit: int | None, rate_limit: str, organisation: str
) -> dict[str, Any]:
    request = admin.CreateProjectRequest(
        name=name,
        slug=slug,
        monthly_limit=monthly_limit,
        rate_limit=parse_rate_limit(rate_limit) if rate_limit else None,
        organisation=organisation,
    )
    with admin_channel(way.data_dir) as channel:
        answer: admin.CreateProjectResponse = AdminServiceStub(channel).CreateProject(request, timeout=CALL_SECONDS)
    return {
        "project": {"id": answer.project.id, "slug": answer.project.slug},
        "keys": {KEY_KIND_NAMES[key.kind]: key.key for key in answer.keys},
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
