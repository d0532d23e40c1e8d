"""`headgate member`: who may use a project."""

from enum import StrEnum
from typing import Annotated

import typer
from headgate_gateway.app_api import invitations
from headgate_gateway.app_api import members as api
from headgate_gateway.app_api.operation import Operation

from headgate_cli.api.admin_socket import AsJson
from headgate_cli.api.reach import OperatorDir, reach
from headgate_cli.output import say, show_json, show_table

INVITATION_COLUMNS = ("id", "email", "role", "invitedBy", "expiresAt")
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
    """Give a member another role; as the operator, make a person a member. Others are invited."""
    changed = reach(data_dir).call(api.SET_MEMBER, {"project": project, "user": user}, body={"role": role.value})
    if as_json:
        show_json(changed)
    else:
        say(f"{changed['member']['email']} is {changed['member']['role']} of {project}.")


@member_app.command()
def remove(user: User, project: ProjectOption, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """End a person's membership of a project."""
    reach(data_dir).call(api.REMOVE_MEMBER, {"project": project, "user": user})
    if as_json:
        show_json({"user": user, "project": project, "removed": True})
    else:
        say(f"{user} is no longer a member of {project}.")


Invitation = Annotated[str, typer.Argument(metavar="LINK", help="The invitation: its link, or hgi_...")]


@member_app.command()
def invite(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's e-mail address.")],
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="viewer, member, admin or owner.")],
    project: ProjectOption,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Invite a person to a project. The link, which is shown this once, is for them only and lasts 7 days."""
    body = {"email": email, "role": role.value}
    made = reach(data_dir).call(invitations.CREATE_INVITATION, {"project": project}, body=body)
    if as_json:
        show_json(made)
        return
    shown = made["invitation"]
    say(f"{shown['email']} is invited to be {shown['role']} of {shown['project']}. Send them this:")
    say(f"  headgate member accept {made['token']}")


@member_app.command("invitations")
def list_invitations(project: ProjectOption, data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """List the open invitations of a project."""
    found = reach(data_dir).call(invitations.LIST_INVITATIONS, {"project": project})
    if as_json:
        show_json(found)
    else:
        show_table(found["invitations"], INVITATION_COLUMNS, f"{project} has no open invitations")


@member_app.command()
def uninvite(
    invitation: Annotated[str, typer.Argument(metavar="ID", help="The invitation's id: inv_...")],
    project: ProjectOption,
    data_dir: OperatorDir = None,
    as_json: AsJson = False,
) -> None:
    """Take an invitation back."""
    path = {"project": project, "invitation": invitation}
    reach(data_dir).call(invitations.DELETE_INVITATION, path)
    if as_json:
        show_json({"id": invitation, "deleted": True})
    else:
        say(f"The invitation {invitation} is taken back.")


@member_app.command()
def accept(invitation: Invitation, as_json: AsJson = False) -> None:
    """Accept an invitation, as the person it is for."""
    _answer(invitations.ACCEPT_INVITATION, invitation, "You are {role} of {project} now.", as_json)


@member_app.command()
def decline(invitation: Invitation, as_json: AsJson = False) -> None:
    """Decline an invitation, as the person it is for."""
    _answer(invitations.DECLINE_INVITATION, invitation, "You declined to be {role} of {project}.", as_json)


def _answer(operation: Operation, invitation: str, said: str, as_json: bool) -> None:
    answered = reach(None).call(operation, {"invitation": invitation.rstrip("/").rpartition("/")[2]})
    if as_json:
        show_json(answered)
    else:
        say(said.format_map(answered["invitation"]))
