"""Which way a command reaches a Headgate: as its operator over the admin socket, or as a logged-in person over HTTP."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from headgate_gateway.app_api.fields import FieldInvalid
from headgate_gateway.app_api.operation import Asked, Operation

from headgate_cli.api.admin_socket import DEFAULT_DATA_DIR, admin_channel, fail
from headgate_cli.api.http_api import HttpApi, LoginUnreadable, login_file, read_login


class SocketApi:
    """Calls operations on the Headgate of a data directory. What fails is said on stderr and ends the command."""

    operator = True

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def call(
        self,
        operation: Operation,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """What the operation answers; `key` goes along as the secret key."""
        request = _request(operation, Asked(path or {}, query or {}, body or {}))
        metadata = (("headgate-key", key),) if key else ()
        with admin_channel(self.data_dir) as channel:
            answer = operation.rpc(channel)(request, timeout=operation.seconds, metadata=metadata)
            return operation.answer(answer) or {}

    def stream(
        self, operation: Operation, path: Mapping[str, str], query: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """What the operation answers, one by one."""
        request = _request(operation, Asked(path, query))
        with admin_channel(self.data_dir) as channel:
            for message in operation.rpc(channel)(request):
                if (answer := operation.answer(message)) is not None:
                    yield answer


def _request(operation: Operation, asked: Asked) -> Any:
    try:
        return operation.request(asked)
    except FieldInvalid as error:
        fail(str(error), 2)


Api = HttpApi | SocketApi

OperatorDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Act as the operator of the Headgate in this directory. Default: the login, else ./headgate-data.",
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
