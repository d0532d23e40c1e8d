"""ReceiptService over gRPC."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from headgate.v1.receipt_service_pb2 import GetReceiptRequest, GetReceiptResponse
from headgate.v1.receipt_service_pb2_grpc import ReceiptServiceServicer

from headgate_service import errors
from headgate_service.auth.access import Access
from headgate_service.auth.metadata import bearer_key
from headgate_service.directory.directory import Directory
from headgate_service.directory.snapshot import Credential
from headgate_service.errors import (
    ControlDbUnavailable,
    CredentialInvalid,
    DirectoryUnavailable,
    ProjectUnknown,
    RedisUnavailable,
)
from headgate_service.model.key import KeyKind
from headgate_service.model.principal import Role
from headgate_service.model.receipt import Receipt, ReceiptInvalid, ReceiptMaker
from headgate_service.sink_control.receipt_lookup import ReceiptLookup

# Of a JWT, to see a project's sinks.
SINKS_SCOPE = "logs:read"
_SHUT_OUT = (
    *(errors.CredentialMissing, errors.CredentialInvalid, errors.RoleMissing, errors.ScopeMissing),
    *(errors.PersonRequired, ProjectUnknown, ControlDbUnavailable, DirectoryUnavailable),
)

# Says whether the caller of a context may see the names of a receipt's sinks.
SeesNames = Callable[[Any, Receipt], Awaitable[bool]]


class ReceiptServicer(ReceiptServiceServicer):
    """`sees_names` is another on the admin socket, whose every caller is the operator."""

    def __init__(self, receipts: ReceiptMaker, lookup: ReceiptLookup, sees_names: SeesNames) -> None:
        self._receipts = receipts
        self._lookup = lookup
        self._sees_names = sees_names

    async def GetReceipt(self, request: GetReceiptRequest, context: Any) -> GetReceiptResponse:
        try:
            receipt = self._receipts.read(request.receipt)
            response = await self._lookup.progress(request.receipt, receipt)
        except ReceiptInvalid as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            raise
        except RedisUnavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the log does not answer: retry ({error})")
            raise
        if not await self._sees_names(context, receipt):
            for row in response.sinks:
                row.ClearField("sink")
        return response


def names_for_keys(directory: Directory) -> SeesNames:
    """Secret and organisation keys of the receipt's project see names. A key that cannot be judged sees counts."""

    async def sees_names(context: Any, receipt: Receipt) -> bool:
        key = bearer_key(context)
        if not key:
            return False
        try:
            credential = await directory.find(key)
        except (CredentialInvalid, DirectoryUnavailable):
            return False
        return _of_project(credential, directory, receipt.project_id)

    return sees_names


def names_for_callers(directory: Directory, access: Access) -> SeesNames:
    """Keys as above, and whoever may see the project's sinks."""
    by_key = names_for_keys(directory)

    async def sees_names(context: Any, receipt: Receipt) -> bool:
        if await by_key(context, receipt):
            return True
        try:
            principal = await access.principal(context.invocation_metadata(), used=False)
            await access.project(principal, receipt.project_id, Role.VIEWER, SINKS_SCOPE)
        except _SHUT_OUT:
            return False
        return True

    return sees_names


async def names_for_operator(context: Any, receipt: Receipt) -> bool:
    """On the admin socket every caller is the operator."""
    return True


def _of_project(credential: Credential, directory: Directory, project_id: str) -> bool:
    if credential.kind not in (KeyKind.SECRET, KeyKind.ORGANISATION):
        return False
    project = directory.remembered(project_id)
    return project is not None and credential.opens(project)
