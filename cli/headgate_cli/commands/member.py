"""`headgate member`: who may use a project."""

from enum import StrEnum
from typing import Annotated

import typer
from headgate_gateway.app_api import members as api

from headgate_cli.api.admin_socket import AsJson
from headgate_cli.api.reach import OperatorDir, reach
from headgate_cli.output import show_json, show_table

COLUMNS = ("email", "role", "since", "user")

member_app = typer.Typer(help="List, add and remove the members of a project.", no_args_is_help=True)


class RoleName(StrEnum):
    """What a person may do; each may do what those before it may."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


ProjectOption = Annotated[str, typer.Option("--project", help="The project, by slug or id.")]
User = Annotated[str, typer.Argument(metavar="EMAIL", help="The person, by e-mail address or id.")]


@member_app.command("list")
def list_members(project: ProjectOption, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """List who may use a project."""
    found = reach(data_dir).call(api.LIST_MEMBERS, {"project": project})
    if as_json:
        show_json(found)
    else:
        show_table(found["members"], COLUMNS, f"{project} has no members: only the operator may use it")


@member_app.command("set")
def set_member(
    user: User,
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="viewer, member, admin or owner.")],
    project: ProjectOption,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a person a role in a project."""
    changed = reach(data_dir).call(api.SET_MEMBER, {"project": project, "user": user}, body={"role": role.value})
    if as_json:
        show_json(changed)
    else:
        typer.echo(f"{changed['member']['email']} is {changed['member']['role']} of {project}.")


@member_app.command()
def remove(user: User, project: ProjectOption, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """End a person's membership of a project."""
    reach(data_dir).call(api.REMOVE_MEMBER, {"project": project, "user": user})
    if as_json:
        show_json({"user": user, "project": project, "removed": True})
    else:
        typer.echo(f"{user} is no longer a member of {project}.")
