"""The app API's operations as the operator reaches them: gRPC over the admin socket."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headgate_gateway.app_api.fields import FieldInvalid
from headgate_gateway.app_api.operation import Asked, Operation

from headgate_cli.admin_socket import admin_channel, fail


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
