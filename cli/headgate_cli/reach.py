"""Which way a command reaches a Headgate: as its operator over the admin socket, or as a logged-in person over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from headgate_cli.admin_socket import DEFAULT_DATA_DIR, fail
from headgate_cli.http_api import HttpApi
from headgate_cli.login_file import LoginUnreadable, login_file, read_login
from headgate_cli.socket_api import SocketApi

Api = HttpApi | SocketApi

OperatorDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Be the operator of the Headgate on this data directory. Default: who is logged in; else ./headgate-data.",
    ),
]


def reach(data_dir: Path | None) -> Api:
    """The operator's way where a data directory is named or nobody is logged in, else the login's."""
    if data_dir is None:
        try:
            login = read_login(login_file(os.environ))
        except LoginUnreadable as error:
            fail(str(error))
        if login is not None:
            return HttpApi(login)
    return SocketApi(data_dir or DEFAULT_DATA_DIR)
