"""`headgate user`: makes people's accounts, ends them, and sets passwords."""

import sys
from typing import Annotated

import typer
from headgate.v1 import user_service_pb2 as wire
from headgate.v1.account_service_pb2 import User
from headgate.v1.user_service_pb2_grpc import UserServiceStub
from headgate_gateway.app_api.accounts import user_json
from headgate_gateway.app_api.operation import ROLES

from headgate_cli.api.admin_socket import CALL_SECONDS, DEFAULT_DATA_DIR, AsJson, DataDir, admin_channel, fail
from headgate_cli.output import say, show_json

user_app = typer.Typer(help="Create and disable user accounts. For the operator.", no_args_is_help=True)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's e-mail address.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]


@user_app.command()
def create(
    email: Email,
    password_stdin: FromStdin = False,
    member: Annotated[
        list[str] | None,
        typer.Option(metavar="PROJECT:ROLE", help="A role in a project; repeat for more."),
    ] = None,
    organisation: Annotated[str, typer.Option(metavar="SLUG", help="Their organisation. Default: a new one.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Create a user account."""
    memberships = [_membership(text) for text in member or []]
    request = wire.CreateUserRequest(
        email=email, password=_password(password_stdin), memberships=memberships, organisation=organisation
    )
    with admin_channel(data_dir) as channel:
        answer: wire.CreateUserResponse = UserServiceStub(channel).CreateUser(request, timeout=CALL_SECONDS)
    roles = "".join(f", {text.replace(':', ' as ')}" for text in member or [])
    _show(answer.user, f"{answer.user.email} has an account{roles}.", as_json)


@user_app.command()
def disable(email: Email, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Disable an account and end its sessions and tokens. A new password enables it again."""
    with admin_channel(data_dir) as channel:
        answer: wire.DisableUserResponse = UserServiceStub(channel).DisableUser(
            wire.DisableUserRequest(user=email), timeout=CALL_SECONDS
        )
    _show(answer.user, f"{answer.user.email} is disabled.", as_json)


@user_app.command()
def unlock(email: Email, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Forget the failed attempts to sign in to a person's account, so that they need not wait."""
    with admin_channel(data_dir) as channel:
        answer: wire.UnlockUserResponse = UserServiceStub(channel).UnlockUser(
            wire.UnlockUserRequest(user=email), timeout=CALL_SECONDS
        )
    _show(answer.user, f"{answer.user.email} may sign in again.", as_json)


@user_app.command()
def password(
    email: Email, password_stdin: FromStdin = False, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Set a person's password. Their sessions and tokens end."""
    request = wire.SetPasswordRequest(user=email, password=_password(password_stdin))
    with admin_channel(data_dir) as channel:
        answer: wire.SetPasswordResponse = UserServiceStub(channel).SetPassword(request, timeout=CALL_SECONDS)
    removed = " first-start.json, which held the old one, is removed." if answer.first_start_file_removed else ""
    _show(answer.user, f"{answer.user.email} has a new password.{removed}", as_json)


def _membership(text: str) -> wire.CreateUserRequest.Membership:
    project, _, role = text.rpartition(":")
    if not project or role not in ROLES:
        fail(f"--member {text}: write PROJECT:ROLE, with a role of {', '.join(ROLES)}", 2)
    return wire.CreateUserRequest.Membership(project=project, role=ROLES[role])


def _password(from_stdin: bool) -> str:
    if from_stdin:
        # As a pipe ends it; a space at the end may be meant.
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        fail("give the password on standard input, with --password-stdin", 2)
    text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return text


def _show(user: User, said: str, as_json: bool) -> None:
    if as_json:
        show_json({"user": user_json(user)})
    else:
        say(said)
