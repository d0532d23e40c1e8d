"""`headgate login`, `logout` and `whoami`: who the commands are."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from headgate_cli.api.admin_socket import AsJson, fail, nothing_runs
from headgate_cli.api.http_api import (
    Login,
    LoginUnreadable,
    checked_url,
    exposed,
    get,
    login_file,
    post,
    read_login,
    write_login,
)
from headgate_cli.api.reach import OperatorDir
from headgate_cli.output import say, show_json
from headgate_cli.run.data_dir import DataDir

DEFAULT_URL = "http://127.0.0.1:8080"

RunningDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The data directory of a Headgate on this machine. It replaces --url."
    ),
]
AnyDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Not used here.", hidden=True)]


def login(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="A one-time token; `-` reads it from standard input.")],
    url: Annotated[
        str,
        typer.Option(
            metavar="URL", help=f"The address of the Headgate. Default: the last login's, else {DEFAULT_URL}."
        ),
    ] = "",
    data_dir: RunningDir = None,
    as_json: AsJson = False,
) -> None:
    """Log in with a one-time token, which POST /api/cli/tokens or the dashboard makes."""
    file = login_file(os.environ)
    before = _known()
    where = checked_url(url or _running(data_dir) or (before.url if before else DEFAULT_URL))
    if exposed(where):
        say(f"headgate: {where} is reached without TLS: whoever listens on the way gets the token", err=True)
    given = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105 - a dash is no token
    answer = post(where, "/api/cli/validate", {"token": given})
    try:
        made = Login(where, answer["accessToken"], answer["user"]["email"], answer["expiresAt"])
    except (KeyError, TypeError):
        fail(f"{where} answers, but not as Headgate does: is it the right address?")
    try:
        write_login(file, made)
    except OSError as error:
        fail(f"the login cannot be written to {file}: {error.strerror}")
    if as_json:
        show_json({"url": where, "user": {"email": made.email}, "expiresAt": made.expires_at})
    else:
        say(f"Logged in to {where} as {made.email}, until {made.expires_at}.")


def logout(data_dir: AnyDir = None, as_json: AsJson = False) -> None:
    """Log out here, and at the Headgate if it answers."""
    file, login = login_file(os.environ), _known()
    ended = login is not None and _ended(login)
    file.unlink(missing_ok=True)
    if as_json:
        show_json({"loggedOut": login is not None, "ended": ended})
    elif login is None:
        say("Nobody was logged in.")
    else:
        say("Logged out." if ended else "Logged out here; the Headgate ends the token in time.")


def whoami(data_dir: OperatorDir = None, as_json: AsJson = False) -> None:
    """Show who is logged in, and to which Headgate."""
    if data_dir is not None:
        if as_json:
            show_json({"operator": True, "dataDir": str(data_dir)})
        else:
            say(f"the operator of the Headgate on {data_dir}")
        return
    try:
        login = read_login(login_file(os.environ))
    except LoginUnreadable as error:
        fail(str(error))
    if login is None:
        fail("nobody is logged in: commands are the operator's, by --data-dir")
    user = get(login.url, "/api/auth/session", login.token).get("user", {})
    email = user.get("email", login.email)
    if as_json:
        show_json({"url": login.url, "user": user or {"email": email}, "expiresAt": login.expires_at})
    else:
        say(f"{email} at {login.url}, until {login.expires_at}")


def _running(data_dir: Path | None) -> str:
    """The address of the Headgate that runs on a data directory; empty where none is named."""
    if data_dir is None:
        return ""
    try:
        return str(json.loads(DataDir(data_dir).ready_file("gateway").read_text())["http"])
    except (OSError, ValueError, KeyError, TypeError):
        fail(nothing_runs(data_dir))


def _known() -> Login | None:
    try:
        return read_login(login_file(os.environ))
    except LoginUnreadable:
        # It is about to be replaced or removed.
        return None


def _ended(login: Login) -> bool:
    try:
        post(login.url, "/api/auth/logout", {}, login.token)
    except typer.Exit:
        return False
    return True
